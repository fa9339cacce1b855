"""A search with stand-in trainings and measurements: what is tried, kept and told."""

from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from converters.errors import ConversionError, HostDiskError
from converters.evidence.conversion import Conversion, read_conversion
from converters.measure import Figure, FileFigures, FileRefusal
from converters.out_folder import FolderInUseError, hold_folder
from converters.progress import Report, ignore
from converters.recipe.recipe import load_recipe
from converters.request import ConversionRequest
from targets.errors import TargetError
from tests.toolkit.search.stand_in import StandInConversions, judge, latency_of
from toolkit.search.outcome import SearchSettings
from toolkit.search.search import search
from toolkit.search.study_errors import SearchError
from toolkit.search.trial_run import TrialTools

SETTINGS = SearchSettings("board", 60.0, 12, 2)


class Board:
    """Measures the stand-ins; it can be lost, slow for a while, or refuse."""

    def __init__(self) -> None:
        self.measured: list[list[Path]] = []
        self.lost_after, self.unstable = 10**9, 0

    def __call__(self, paths: Sequence[Path]) -> list[FileFigures | FileRefusal]:
        self.measured.append(list(paths))
        if len(self.measured) > self.lost_after:
            raise TargetError("board: the link is lost")
        self.unstable -= 1
        trusted = self.unstable < 0
        return [
            FileFigures(
                Figure(us, 0.98 * us, 1.02 * us),
                Figure(1e6, 1e6, 1e6),
                verdict="VALID" if trusted else "INVALID",
                reasons=() if trusted else ("throttled",),
            )
            for us in map(latency_of, paths)
        ]


@pytest.fixture
def board() -> Board:
    return Board()


@pytest.fixture
def tools(tmp_path: Path, board: Board) -> TrialTools:
    model, data = tmp_path / "model.keras", tmp_path / "data.npz"
    model.write_bytes(b"a model")
    data.write_bytes(b"samples")
    request = ConversionRequest(model, data, "", tmp_path / "out", judge_all=True, judge_test=False)
    return TrialTools(request, StandInConversions(), {"board": board}, 1.0, ignore, judge)


def test_every_model_of_the_front_is_a_recipe_that_makes_it_again(tools: TrialTools) -> None:
    outcome = search(SETTINGS, tools)
    folder = tools.request.out
    plain = json.loads((folder / "search.json").read_text())
    assert outcome.finished == plain["finished"] == 12
    assert len(plain["front"]) >= 2
    ratios = [point["latency_ratio"]["value"] for point in plain["front"]]
    accuracies = [point["accuracy"]["value"] for point in plain["front"]]
    assert ratios == sorted(ratios)
    assert accuracies == sorted(accuracies)
    for number, point in enumerate(plain["front"], start=1):
        recipe = load_recipe(str(folder / "front" / str(number) / "recipe.toml"))
        assert recipe.name == point["recipe"]
        assert (folder / "front" / str(number) / "model.tflite").read_bytes()
        assert point["test_accuracy"]["value"] == pytest.approx(point["accuracy"]["value"] - 0.01)


def test_only_the_front_is_judged_on_test_samples_and_once(tools: TrialTools) -> None:
    search(SETTINGS, tools)
    plain = json.loads((tools.request.out / "search.json").read_text())
    on_front = {point["folder"] for point in plain["front"]}
    texts = {}
    for path in tools.request.out.glob("trials/*/conversion.json"):
        is_judged = any(score.split == "test" for score in read_conversion(path.parent).scores)
        assert is_judged == (f"trials/{path.parent.name}" in on_front)
        texts[path] = path.read_text()
    assert plain["judged_on"] == {"accuracy": "validation", "test_accuracy": "test"}
    search(SETTINGS, tools)
    assert all(path.read_text() == text for path, text in texts.items())


def test_a_structure_that_is_too_slow_is_not_trained(tools: TrialTools) -> None:
    slow = replace(tools, max_latency_ratio=0.5)
    outcome = search(SETTINGS, slow)
    assert any("was not trained" in reason for reason in outcome.reasons.values())
    conversions = slow.convert
    assert isinstance(conversions, StandInConversions)
    assert all(latency_of(path) <= 50 for path in conversions.trained_trials())


def test_trainings_that_fall_behind_others_as_fast_are_ended(
    tools: TrialTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolkit.search.halving._LEAST_WHOLE", 1)
    monkeypatch.setattr("toolkit.search.halving._KINDS_AN_OCTAVE", 1)
    conversions = StandInConversions(epochs=6)
    outcome = search(SETTINGS, replace(tools, convert=conversions))
    ended = {number: words for number, words in outcome.reasons.items() if "ended after" in words}
    assert ended
    assert outcome.finished == 12
    for number, words in ended.items():
        assert re.match(r"ended after epoch [24]: \d+\.\d+% of the validation samples", words)
        assert not (tools.request.out / f"trials/{number}/conversion.json").exists()
    assert len(outcome.front) >= 2


def test_the_same_command_goes_on_and_repeats_nothing(tools: TrialTools) -> None:
    first = search(replace(SETTINGS, trials=5), tools)
    conversions = StandInConversions()
    again = search(SETTINGS, replace(tools, convert=conversions))
    assert (first.finished, again.finished) == (5, 12)
    assert not any("moves" in path.parts for path in conversions.folders)
    numbers = {int(path.parts[path.parts.index("trials") + 1]) for path in conversions.folders
               if "trials" in path.parts}  # fmt: skip
    assert min(numbers) >= 5


def test_a_lost_board_ends_the_search_and_its_trial_is_done_again(
    tools: TrialTools, board: Board
) -> None:
    board.lost_after = 4
    with pytest.raises(TargetError, match="link is lost"):
        search(SETTINGS, tools)
    plain = json.loads((tools.request.out / "search.json").read_text())
    assert plain["finished"] >= 3
    board.lost_after = 10**9
    assert search(SETTINGS, tools).finished == 12


def test_figures_that_cannot_be_trusted_are_measured_again_and_never_kept(
    tools: TrialTools, board: Board
) -> None:
    board.unstable = 2
    assert search(replace(SETTINGS, trials=1), tools).reasons == {}
    board.unstable = 3
    with pytest.raises(SearchError, match="can be trusted: throttled") as caught:
        search(SETTINGS, tools)
    assert "the same command goes on" in caught.value.hint
    outcome = search(SETTINGS, tools)
    assert (outcome.finished, outcome.reasons) == (12, {})


def test_a_full_disk_ends_the_search_and_costs_no_trial(tools: TrialTools) -> None:
    conversions = StandInConversions()

    def full_after_seven(request: ConversionRequest, report: Report) -> Conversion:
        if len(conversions.folders) >= 7:
            raise HostDiskError("no space left", "Free space.")
        return conversions(request, report)

    with pytest.raises(HostDiskError):
        search(SETTINGS, replace(tools, convert=full_after_seven))
    outcome = search(SETTINGS, tools)
    assert (outcome.finished, outcome.reasons) == (12, {})


def test_a_trial_without_a_result_counts_once_however_often_it_is_proposed(
    tools: TrialTools,
) -> None:
    slow = replace(tools, max_latency_ratio=0.05)  # no structure is that fast
    outcome = search(SETTINGS, slow)
    conversions = slow.convert
    assert isinstance(conversions, StandInConversions)
    structures = [folder for folder in conversions.folders if folder.name == "structure"]
    assert len(outcome.reasons) == outcome.finished == len(structures) == 12


def test_another_model_is_refused_and_nothing_is_lost(tools: TrialTools) -> None:
    search(replace(SETTINGS, trials=2), tools)
    tools.request.model.write_bytes(b"another model")
    with pytest.raises(SearchError, match="is about the model") as caught:
        search(SETTINGS, tools)
    assert "--out" in caught.value.hint
    tools.request.model.write_bytes(b"a model")
    assert search(replace(SETTINGS, trials=3), tools).finished == 3


def test_a_damaged_study_is_named(tools: TrialTools) -> None:
    search(replace(SETTINGS, trials=2), tools)
    path = tools.request.out / "study.journal"
    path.write_text("no journal\n" + path.read_text())
    with pytest.raises(SearchError, match="no study that Optuna can read") as caught:
        search(SETTINGS, tools)
    assert "Move it away" in caught.value.hint


def test_two_users_of_one_folder_are_refused(tools: TrialTools) -> None:
    with hold_folder(tools.request.out), pytest.raises(FolderInUseError, match="process"):
        search(SETTINGS, tools)


def test_a_clock_that_jumps_changes_nothing(
    tools: TrialTools, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = itertools.cycle((2e9, 0.0, 4e9))
    monkeypatch.setattr(time, "time", lambda: next(times))
    assert search(replace(SETTINGS, trials=4), tools).finished == 4


def test_moves_that_the_model_cannot_go_through_are_told_and_not_tried(tools: TrialTools) -> None:
    conversions = StandInConversions(refused="blocks")
    outcome = search(SETTINGS, replace(tools, convert=conversions))
    assert outcome.refused_moves == {"blocks": "has no blocks"}
    assert outcome.reasons == {}


def test_a_model_that_no_recipe_takes_is_an_error(tools: TrialTools) -> None:
    with pytest.raises(ConversionError, match="no model"):
        search(SETTINGS, replace(tools, convert=StandInConversions(refused="ptq_w8a8")))


def test_a_killed_search_loses_no_trial_and_counts_none_twice(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "tests.toolkit.search.stand_in", str(out), "20"]
    for _ in range(3):
        child = subprocess.Popen(command)
        before = _finished(out)
        deadline = time.monotonic() + 60
        while _finished(out) < before + 2 and child.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
    subprocess.run(command, check=True, timeout=120)
    plain = json.loads((out / "search.json").read_text())
    assert plain["finished"] == 20
    assert len({point["number"] for point in plain["front"]}) == len(plain["front"])


def _finished(out: Path) -> int:
    """Number of trials with a recipe whose conversion is whole."""
    return len(list(out.glob("trials/*/conversion.json")))
