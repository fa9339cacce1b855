"""`kedge search`, its folder and its display, with stand-ins of conversions and of the board."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from converters.progress import Report
from converters.request import ConversionRequest
from tests.toolkit.cli.test_fleet_watch import terminal
from tests.toolkit.search.stand_in import StandInConversions, judge, measure
from toolkit.cli.main import kedge as commands
from toolkit.cli.main import run_command_line

SEARCH = ["search", "m.keras", "--data", "d.npz", "--trials", "5", "--max-latency", "0.9x"]


class Converter:
    """Stand-in of `converters.process.convert`, which may be interrupted."""

    def __init__(self) -> None:
        self.standin, self.left = StandInConversions(), 10**9

    def __call__(self, request: ConversionRequest, report: Report, *_: Any) -> Any:
        if "trials" in request.out.parts:
            self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return self.standin(request, report)


@pytest.fixture
def converter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Converter:
    stand_in = Converter()
    (tmp_path / "kedge.toml").write_text('[targets.pi]\naddress = "local"\n')
    (tmp_path / "m.keras").write_bytes(b"a model")
    (tmp_path / "d.npz").write_bytes(b"samples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("converters.process.convert", stand_in)
    monkeypatch.setattr("converters.late_test.judge_on_test", judge)
    monkeypatch.setattr("toolkit.measure.host_latency.measure_on", lambda *_: measure)
    return stand_in


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(converter: Converter, capfd: pytest.CaptureFixture[str]) -> Run:
    del converter

    def run_line(*arguments: str) -> tuple[int, str, str]:
        code = run_command_line(list(arguments))
        shown = capfd.readouterr()
        return code, shown.out, shown.err

    return run_line


def test_events_are_one_object_a_line_and_the_outcome_is_the_last(run: Run) -> None:
    code, out, _ = run(*SEARCH, "--out", "out", "--json")
    events = [json.loads(line) for line in out.splitlines()]
    kinds = [event["event"] for event in events]
    assert code == 0
    assert kinds.count("begin") == 5
    assert kinds.count("result") + kinds.count("drop") == 5
    assert kinds[-1] == "outcome"
    summary = json.loads(Path("out/search.json").read_text())
    assert {**summary, "event": "outcome"} == events[-1]
    assert 0 <= summary["seconds"]["engine_share"] < 1


def test_ctrl_c_keeps_everything_and_resume_needs_no_options(
    run: Run, converter: Converter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    converter.left = 5
    code, _, err = run(*SEARCH, "--out", "out")
    assert code == 130
    assert "kedge search resume out" in err
    before = json.loads(Path("out/search.json").read_text())["finished"]
    assert 0 < before < 5
    converter.left = 10**9
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")  # of the same project
    code, out, err = run("search", "resume", "../out", "--trials", "7")
    assert (code, err.count("error")) == (0, 0)
    assert "7 trials ended" in out
    options = json.loads((tmp_path / "out" / "command.json").read_text())["options"]
    assert options["max_latency"] == [0.9, "x"]
    assert options["trials"] == 7


def test_show_prints_the_table_of_a_search_that_ran_or_runs(run: Run) -> None:
    run(*SEARCH, "--out", "out")
    code, out, _ = run("search", "show", "out")
    assert code == 0
    assert "5 trials ended" in out
    path = Path("out/search.json")
    plain = json.loads(path.read_text())
    path.write_text(
        json.dumps({**plain, "running": [{"number": 9, "recipe": "", "worker": "a\x1b[2Jb:/out"}]})
    )
    _, out, _ = run("search", "show", "out")
    assert "runs: trial 9: is chosen" in out
    assert "\x1b[2J" not in out
    _, out, _ = run("search", "show", "out", "--json")
    assert json.loads(out)["finished"] == 5


@pytest.mark.parametrize(
    "command", [["show", "x"], ["resume", "x"], ["export", "x", "1", "--out", "y"]]
)
def test_a_folder_without_a_search_is_named(run: Run, command: list[str]) -> None:
    code, _, err = run("search", *command)
    assert code == 3
    assert "x/" in err
    assert "--out of `kedge search`" in err
    assert not Path("y").exists()


@pytest.mark.parametrize("content", ["", "{", "[]", '{"schema": 99}', '{"schema": 1}'])
def test_a_damaged_summary_is_named(run: Run, content: str) -> None:
    Path("out").mkdir()
    Path("out/search.json").write_text(content)
    code, _, err = run("search", "show", "out")
    assert code == 3
    assert "search.json" in err


def test_export_gives_a_model_of_the_front_or_of_a_trial(run: Run) -> None:
    run(*SEARCH, "--out", "out")
    plain = json.loads(Path("out/search.json").read_text())
    code, out, _ = run("search", "export", "out", "2", "--out", "best")
    assert code == 0
    assert "model.tflite" in out
    for name in ("model.tflite", "recipe.toml", "conversion.json"):
        assert Path("best", name).read_bytes() == Path("out/front/2", name).read_bytes()
    number = plain["front"][0]["number"]
    assert run("search", "export", "out", "--trial", str(number), "--out", "trial")[0] == 0
    assert Path("trial/model.tflite").exists()
    dropped = next(iter(plain["dropped"]), None)
    if dropped is not None:
        code, _, err = run("search", "export", "out", "--trial", dropped, "--out", "none")
        assert (code, "came to no result" in err) == (3, True)
    code, _, err = run("search", "export", "out", "99", "--out", "none")
    assert (code, "not 99" in err) == (3, True)
    assert run("search", "export", "out", "--out", "none")[0] == 2
    assert run("search", "export", "out", "1", "--trial", "1", "--out", "none")[0] == 2
    assert not Path("none").exists()
    Path("out", plain["front"][1]["folder"], "model.tflite").write_bytes(b"damaged")
    code, _, err = run("search", "export", "out", "2", "--out", "none")
    assert (code, "model.tflite" in err) == (5, True)


def test_a_model_of_another_machine_is_exported_as_its_recipe(run: Run) -> None:
    run(*SEARCH, "--out", "out")
    path = Path("out/search.json")
    plain = json.loads(path.read_text())
    plain["front"][0] |= {"elsewhere": "desk:/home/me/out", "folder": "trials/99"}
    path.write_text(json.dumps(plain))
    for file in Path("out/front/1").iterdir():
        if file.name != "recipe.toml":
            file.unlink()
    _, out, _ = run("search", "show", "out")
    assert "model 1: its files are with desk:/home/me/out" in out
    code, _, err = run("search", "export", "out", "1", "--out", "mine")
    assert code == 0
    assert [file.name for file in Path("mine").iterdir()] == ["recipe.toml"]
    assert "kedge convert" in err


def test_a_url_of_another_database_is_refused_before_anything_starts(run: Run) -> None:
    code, _, err = run(*SEARCH, "--out", "out", "--study", "mysql://me:secret@h/d")
    assert code == 3
    assert "mysql is not supported" in err
    assert "secret" not in err
    assert not Path("out").exists()


def test_a_terminal_shows_the_front_and_the_trials_that_run(
    converter: Converter, monkeypatch: pytest.MonkeyPatch
) -> None:
    converter.standin = StandInConversions(pause_s=0.6)  # longer than from one frame to the next
    with terminal(monkeypatch) as chunks:
        assert run_command_line([*SEARCH, "--out", "out"]) == 0
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", b"".join(chunks).decode())
    assert "latency ratio" in shown
    assert re.search(r"runs: trial \d+: \w+", shown)


def test_help_lists_the_options_of_a_search_and_the_commands_beside_it() -> None:
    group = commands.get_command(click.Context(commands), "search")
    assert isinstance(group, click.Group)
    text = group.get_help(click.Context(group, info_name="kedge search"))
    assert "--study" in text
    assert all(f"  {name} " in text for name in ("show", "resume", "export"))
    assert "Usage: kedge search [OPTIONS] MODEL\n" in text
    examples = [line.split()[2:] for line in text.splitlines() if line.startswith("  kedge search")]
    assert len(examples) == 2
    for words in examples:
        group.make_context("search", words)
