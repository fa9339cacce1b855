"""Several boards of one search: lost, busy and back again, with stand-in measurements."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters.measure import Figure, FileFigures, FileRefusal
from converters.progress import ignore
from converters.request import ConversionRequest
from targets.errors import TargetError
from tests.toolkit.search.stand_in import StandInConversions, judge, latency_of
from toolkit.report.search import describe_search
from toolkit.search import boards
from toolkit.search.front import load_result, plain_trial_result
from toolkit.search.objective import choose_objectives
from toolkit.search.outcome import SearchSettings
from toolkit.search.search import search
from toolkit.search.study_errors import SearchError
from toolkit.search.trial_run import TrialTools

SETTINGS = SearchSettings("nano, pi", 60.0, 12, 2)


class SlowerBoard:
    """Measures the stand-ins, slower by a power of their latency; can be lost for a while."""

    def __init__(self, power: float) -> None:
        self._power = power
        self.files: Counter[Path] = Counter()
        self.calls, self.energy = 0, False
        self.lost: range = range(0)
        self.disturbed: range = range(0)
        self.barrier: threading.Barrier | None = None

    def __call__(self, paths: Sequence[Path]) -> list[FileFigures | FileRefusal]:
        if self.barrier is not None:
            self.barrier.wait(timeout=20)
        self.calls += 1
        if self.calls in self.lost:
            raise TargetError("the link is lost")
        trusted = self.calls not in self.disturbed
        figures: list[FileFigures | FileRefusal] = []
        for path in paths:
            us = latency_of(path) ** self._power
            self.files[path] += trusted
            figures.append(
                FileFigures(
                    Figure(us, 0.99 * us, 1.01 * us),
                    Figure(1e6 * us, 0.9e6 * us, 1.1e6 * us),
                    Figure(us, us, us) if self.energy else None,
                    "VALID" if trusted else "UNSTABLE",
                    () if trusted else ("fresh processes differ by 9%",),
                )
            )
        return figures


@pytest.fixture
def pi() -> SlowerBoard:
    return SlowerBoard(1.0)


@pytest.fixture
def nano() -> SlowerBoard:
    return SlowerBoard(0.5)


@pytest.fixture
def tools(
    tmp_path: Path, pi: SlowerBoard, nano: SlowerBoard, monkeypatch: pytest.MonkeyPatch
) -> TrialTools:
    monkeypatch.setattr(boards, "_RETRY_S", 0.0)
    model, data = tmp_path / "model.keras", tmp_path / "data.npz"
    model.write_bytes(b"a model")
    data.write_bytes(b"samples")
    request = ConversionRequest(model, data, "", tmp_path / "out", judge_all=True, judge_test=False)
    return TrialTools(request, StandInConversions(), {"pi": pi, "nano": nano}, 1.0, ignore, judge)


def _plain(tools: TrialTools) -> Any:
    return json.loads((tools.request.out / "search.json").read_text())


def test_each_board_has_a_front_and_all_together_that_of_the_worst_case(tools: TrialTools) -> None:
    outcome = search(SETTINGS, tools)
    plain = _plain(tools)
    assert set(plain["fronts"]) == {"pi", "nano"}
    for result in outcome.front:
        ratios = [figures.latency_ratio.value for figures in result.boards.values()]
        assert (
            result.latency_ratio.value == max(ratios) == result.boards["nano"].latency_ratio.value
        )
    front = tools.request.out / "front"
    for folder, points in (
        (front, plain["front"]),
        *((front / f"on-{name}", points) for name, points in plain["fronts"].items()),
    ):
        ratios = [point["latency_ratio"]["value"] for point in points]
        assert len(points) >= 2
        assert ratios == sorted(ratios)
        for number in range(1, len(points) + 1):
            assert (folder / str(number) / "recipe.toml").exists()


def test_boards_measure_at_the_same_time(
    tools: TrialTools, pi: SlowerBoard, nano: SlowerBoard
) -> None:
    pi.barrier = nano.barrier = threading.Barrier(2)
    assert search(replace(SETTINGS, trials=3), tools).finished == 3


def test_a_lost_board_pauses_and_measures_what_it_missed_when_it_is_back(
    tools: TrialTools, nano: SlowerBoard
) -> None:
    nano.lost = range(3, 7)
    words: list[str] = []
    outcome = search(SETTINGS, tools, lambda event: words.append(event.words))
    assert any("nano pauses: the link is lost" in each for each in words)
    assert "nano measures again" in words
    assert outcome.finished == 12
    assert outcome.boards["nano"].missing == 0
    assert all(set(result.boards) == {"pi", "nano"} for result in outcome.fronts["pi"])


def test_a_board_that_never_returns_is_named_with_what_it_missed(
    tools: TrialTools, nano: SlowerBoard
) -> None:
    nano.lost = range(4, 10**9)
    outcome = search(SETTINGS, tools)
    assert outcome.finished == 12
    assert outcome.boards["nano"].missing > 0
    text = str(describe_search(_plain(tools), tools.request.out))
    assert "nano does not measure: the link is lost" in text
    assert f"nano has not measured {outcome.boards['nano'].missing} models" in text
    assert all("nano" in result.boards for result in outcome.front)
    nano.lost = range(0)
    again = search(SETTINGS, replace(tools, convert=StandInConversions()))
    assert again.boards["nano"].missing == 0
    assert all(set(result.boards) == {"pi", "nano"} for result in again.fronts["pi"])


def test_all_boards_lost_end_the_search_and_lose_nothing(
    tools: TrialTools, pi: SlowerBoard, nano: SlowerBoard
) -> None:
    pi.lost = nano.lost = range(4, 10**9)
    with pytest.raises(TargetError, match="link is lost"):
        search(SETTINGS, tools)
    finished = _plain(tools)["finished"]
    pi.lost = nano.lost = range(0)
    assert 0 < finished < search(SETTINGS, tools).finished == 12


def test_a_disturbed_board_is_measured_again_and_its_figures_are_not_kept(
    tools: TrialTools, nano: SlowerBoard
) -> None:
    nano.disturbed = range(3, 5)
    outcome = search(replace(SETTINGS, trials=3), tools)
    assert outcome.boards["nano"].reason == ""
    assert outcome.boards["nano"].missing == 0


def test_no_file_is_measured_twice_on_a_board_but_the_reference(
    tools: TrialTools, pi: SlowerBoard, nano: SlowerBoard
) -> None:
    search(SETTINGS, tools)
    search(replace(SETTINGS, trials=16), tools)
    for board in (pi, nano):
        contents: Counter[str] = Counter()
        for path, count in board.files.items():
            if "reference" not in path.parts:
                contents[path.read_text()] += count
        assert contents
        assert max(contents.values()) == 1


def test_more_objectives_are_ratios_to_the_reference(
    tools: TrialTools, pi: SlowerBoard, nano: SlowerBoard
) -> None:
    pi.energy = nano.energy = True
    objectives = choose_objectives("latency, accuracy,size,memory,energy")
    search(replace(SETTINGS, objectives=objectives), tools)
    point = _plain(tools)["front"][0]
    assert point["energy_ratio"]["value"] == pytest.approx(point["latency_ratio"]["value"])
    assert point["memory_ratio"]["value"] < 1


def test_energy_without_a_sensor_is_refused_with_the_board(tools: TrialTools) -> None:
    settings = replace(SETTINGS, objectives=choose_objectives("accuracy,latency,energy"))
    with pytest.raises(SearchError, match="pi has no sensor"):
        search(settings, tools)


@pytest.mark.parametrize("text", ["accuracy,speed", "latency", ""])
def test_objectives_that_make_no_search_are_refused(text: str) -> None:
    with pytest.raises(SearchError):
        choose_objectives(text)


def test_a_latency_budget_that_nothing_keeps_names_the_nearest_structure(
    tools: TrialTools,
) -> None:
    search(SETTINGS, replace(tools, max_latency_us=1.0, max_latency_ratio=float("inf")))
    text = str(describe_search(_plain(tools), tools.request.out))
    assert "no model keeps --max-latency 0.001ms; the nearest is trial " in text
    assert "which was not trained" in text


def test_a_latency_budget_holds_on_the_worst_board(tools: TrialTools) -> None:
    outcome = search(SETTINGS, replace(tools, max_latency_us=60.0, max_latency_ratio=float("inf")))
    points = [point for point in _plain(tools)["front"] if point["keeps_budget"]]
    assert points
    assert all(point["boards"]["pi"]["latency_us"]["value"] <= 60 for point in points)
    assert all("at most 0.06 ms" in reason for reason in outcome.reasons.values())


def test_a_board_that_cannot_run_the_original_is_named(
    tools: TrialTools, nano: SlowerBoard
) -> None:
    def refuse(paths: Sequence[Path]) -> list[FileFigures | FileRefusal]:
        return [FileRefusal("has no runtime", "") for _ in paths]

    measures = {**tools.measure, "nano": refuse}
    with pytest.raises(SearchError, match="nano cannot run it: has no runtime"):
        search(SETTINGS, replace(tools, measure=measures))


def test_a_conversion_measures_on_the_first_board_that_answers(
    pi: SlowerBoard, nano: SlowerBoard, tmp_path: Path
) -> None:
    measure = boards.first_that_answers({"pi": pi, "nano": nano})
    path = tmp_path / "model.tflite"
    path.write_text('{"us": 4}')
    pi.lost = nano.lost = range(2, 4)
    assert [len(measure([path])), pi.calls, nano.calls] == [1, 1, 0]
    assert [len(measure([path])), pi.calls, nano.calls] == [1, 2, 1]
    with pytest.raises(TargetError, match="link is lost"):
        measure([path])


def test_results_are_read_as_they_were_written(tools: TrialTools) -> None:
    outcome = search(replace(SETTINGS, trials=2), tools)
    for result in outcome.front:
        plain = json.loads(json.dumps(plain_trial_result(result)))
        assert load_result(plain) == result
