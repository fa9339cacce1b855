"""One model on many boards: each on its own."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from targets.inventory import Target
from tests.kedge import assert_refused, kedge
from tests.tiny_model import relu_model
from toolkit.measure import bench_many as bench_many_module
from toolkit.report.exit_code import gravest_exit_code

DOWN = """
[targets.down]
address = "pi@127.0.0.1:1"
host_key = "SHA256:{}"
labels = {{room = "lab"}}
"""


def project(folder: Path) -> None:
    (folder / "model.tflite").write_bytes(relu_model())
    for name in ("one", "two"):
        root = ["--root", str(folder / name), "--label", "room=lab"]
        assert kedge("target", "add", name, "local", *root, cwd=folder).code == 0
    with (folder / "kedge.toml").open("a") as file:
        file.write(DOWN.format("A" * 43))


def test_a_board_that_is_down_stops_no_other(tmp_path: Path) -> None:
    project(tmp_path)
    ran = kedge(
        "bench", "model.tflite", "--on", "room=lab", "--duration", "60ms", "--json", cwd=tmp_path
    )
    entries = {entry["name"]: entry for entry in ran.json["targets"]}
    assert list(entries) == ["one", "two", "down"]
    assert ran.code == 6
    assert entries["down"]["verdict"] == "ERROR"
    assert "127.0.0.1" in entries["down"]["reasons"][0]
    for name in ("one", "two"):
        assert entries[name]["invoke_median_us"] > 0
        assert entries[name]["parity"]["verdict"] == "EQUAL"
    few = ("--quality", "quick", "--duration", "60ms")
    told = kedge("bench", "model.tflite", "--on", "one,down", *few, cwd=tmp_path)
    assert f"down: {entries['down']['hint']}" in told.err


def test_two_at_once_on_one_board_wait_for_each_other(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(relu_model())
    for name in ("one", "same"):
        root = ["--root", str(tmp_path / "root")]
        assert kedge("target", "add", name, "local", *root, cwd=tmp_path).code == 0
    ran = kedge(
        "bench", "model.tflite", "--on", "one,same", "--duration", "60ms", "--json", cwd=tmp_path
    )
    assert ran.code in {0, 9}, ran.err
    assert all(entry["parity"]["verdict"] == "EQUAL" for entry in ran.json["targets"])
    assert "wait" in ran.err


def test_ctrl_c_ends_many_benchmarks_at_once(tmp_path: Path) -> None:
    project(tmp_path)
    command = [sys.executable, "-m", "toolkit.cli", "bench", "model.tflite", "--on", "one,two"]
    process = subprocess.Popen(
        [*command, "--duration", "60s"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    while "measure with" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in said


def test_an_unknown_label_or_name_is_refused(tmp_path: Path) -> None:
    project(tmp_path)
    for selection in ("room=cellar", "one,three", ","):
        ran = kedge("bench", "model.tflite", "--on", selection, cwd=tmp_path)
        assert_refused(ran, 3)


def test_the_gravest_code_wins() -> None:
    assert gravest_exit_code([0, 9, 6, 7, 8, 5]) == 5
    assert gravest_exit_code([0, 9, 6, 7, 8]) == 8
    assert gravest_exit_code([9, 6, 7]) == 7
    assert gravest_exit_code([9, 0, 6]) == 6
    assert gravest_exit_code([0, 9]) == 9
    assert gravest_exit_code([0]) == 0


def test_a_bug_at_one_board_leaves_the_others_their_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.tflite"
    path.write_bytes(relu_model())
    measurement = object()

    def measure(_: Path, target: Target, *__: object) -> object:
        if target.name == "odd":
            raise KeyError("a bug")
        return measurement

    monkeypatch.setattr(bench_many_module, "bench", measure)
    names = ("good", "odd", "better")
    outcomes = bench_many_module.bench_many(path, [Target(name, "local") for name in names])

    assert [outcome.target for outcome in outcomes] == list(names)
    assert outcomes[0].measurement is outcomes[2].measurement is measurement
    error = outcomes[1].error
    assert isinstance(error, bench_many_module.BoardBugError)
    assert (error.exit_code, str(error)) == (1, "KeyError: 'a bug'")
    assert "in measure" in error.traceback
    assert "report it" in error.hint
