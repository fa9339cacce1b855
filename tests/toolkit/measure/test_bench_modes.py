"""`kedge bench` as a user runs it: qualities, fixed rates, soaks, a busy board, its JSON."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest

from targets.agent_client import AgentError
from targets.inventory import Target
from targets.jobs import Jobs
from tests.faults.afterwards import jobs
from tests.kedge import assert_refused, kedge
from tests.targets.loopback import listening
from tests.tiny_model import relu_model
from tests.toolkit.measurements import measurement
from toolkit.judge.row import row_of
from toolkit.measure.bench import BenchSettings
from toolkit.measure.bench import bench as run_bench
from toolkit.report.exit_code import exit_code_of_measurement
from toolkit.report.measurement import plain_measurement
from toolkit.report.measurement_text import describe_measurement

DOCUMENT = Path(__file__).resolve().parents[3] / "docs" / "bench.md"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    (folder / "model.tflite").write_bytes(relu_model())
    add = ["target", "add", "here", "local", "--root", str(folder / "root")]
    assert kedge(*add, cwd=folder).code == 0
    return folder


def bench(project: Path, *options: str) -> Any:
    ran = kedge("bench", "model.tflite", "--on", "here", "--json", *options, cwd=project)
    assert ran.code in (0, 9), ran.err
    return ran.json["targets"][0]


def test_quick_runs_two_processes_and_says_what_that_is_worth(project: Path) -> None:
    entry = bench(project, "--quality", "quick", "--duration", "100ms")

    assert (entry["quality"], entry["processes"], entry["confidence"]) == ("quick", 2, 0.5)
    assert any("50%" in warning for warning in entry["warnings"])
    assert entry["invoke_median_us"] > 0
    assert 0 < entry["effective_cores"] < 2
    phases = ("connect", "push", "import", "load", "allocate", "first_invoke", "warmup", "steady")
    assert all(entry[f"{phase}_us"] > 0 for phase in phases)
    assert entry["before_load_rss_bytes"] <= entry["load_peak_rss_bytes"]
    assert entry["parity"]["same_class"] is True, "one computer is one kernel class"


def test_a_fixed_rate_shows_responses_beside_services_and_is_kept(project: Path) -> None:
    entry = bench(project, "--rate", "50", "--quality", "quick", "--duration", "600ms")
    pace = entry["pace"]

    assert pace["rate_hz"] == 50
    assert pace["requests"] == 30
    assert 0 <= pace["unserved"] <= pace["missed"] <= 30
    assert pace["response_median_us"] >= entry["invoke_median_us"]
    newest = kedge("results", "list", "--json", cwd=project).json["results"][0]
    assert newest["mode"] == "50 Hz"
    number = newest["id"]
    shown = kedge("results", "show", str(number), "--json", cwd=project).json
    assert shown["pace"] == pace
    assert "at 50 requests a second" in kedge("results", "show", str(number), cwd=project).out


def test_a_soak_is_one_process_with_trends(project: Path) -> None:
    ran = kedge("bench", "model.tflite", "--on", "here", "--soak", "2s", cwd=project)

    assert ran.code in (0, 9), ran.err
    assert ran.out.startswith(("VALID", "UNSTABLE"))
    assert "LEAKS" not in ran.out
    # Two seconds say nothing about an hour.
    assert "KiB in all (95 % interval" in ran.out
    assert "% in all (95 % interval" in ran.out
    assert "an hour" not in ran.out
    assert "soak" in ran.err
    listed = kedge("results", "--json", cwd=project).json["results"]
    assert listed[0]["mode"] == "soak"
    assert "soak" in kedge("results", cwd=project).out


def test_ctrl_c_ends_a_soak_with_what_was_seen_so_far(project: Path) -> None:
    command = [sys.executable, "-m", "toolkit.cli", "bench", "model.tflite", "--on", "here"]
    process = subprocess.Popen(
        [*command, "--soak", "1m"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    # The board reports the soak after its first second: by then it has ten readings for a trend.
    while "soak" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    said, log = process.communicate(timeout=120)

    assert process.returncode in (0, 9), log
    assert "ended early" in said
    assert "KiB in all" in said
    assert "kept as result" in log


def test_ctrl_c_keeps_the_boards_that_are_measured(project: Path, tmp_path: Path) -> None:
    inventory, config = project / "kedge.toml", tmp_path / "ssh_config"
    config.write_text("Host 127.0.0.1\n    ConnectTimeout 900\n")
    before = inventory.read_text()
    command = [sys.executable, "-m", "toolkit.cli", "bench", "model.tflite", "--on", "here,dead"]
    with listening(lambda _: None) as port:  # it accepts connections and says nothing
        dead = f'[targets.dead]\naddress = "pi@127.0.0.1:{port}"\nhost_key = "SHA256:{"A" * 43}"\n'
        inventory.write_text(before + dead)
        process = subprocess.Popen(
            [*command, "--quality", "quick", "--duration", "200ms", "--json"],
            cwd=project,
            env={**os.environ, "KEDGE_SSH_CONFIG": str(config)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        while "here: done" not in process.stderr.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        said, log = process.communicate(timeout=120)
    inventory.write_text(before)

    entries = {entry["name"]: entry for entry in json.loads(said)["targets"]}
    assert entries["here"]["parity"]["verdict"] == "EQUAL"
    assert entries["dead"]["verdict"] == "ERROR"
    assert process.returncode in (6, 130), log
    assert "kept as result" in log


def test_several_processes_at_once_give_inferences_a_second(project: Path) -> None:
    options = ["--streams", "2,1", "--quality", "quick", "--json"]
    ran = kedge("bench", "model.tflite", "--on", "here", *options, cwd=project)
    assert ran.code in (0, 9), ran.err
    (entry,) = ran.json["targets"]
    assert [row["streams"] for row in entry["rows"]] == [1, 2]
    for row in entry["rows"]:
        low, high = row["inferences_per_second_ci"]
        assert 0 < low <= row["inferences_per_second"] <= high
        assert row["processes"] == 2
    lines = kedge("results", "--json", cwd=project).json["results"]
    assert lines[0]["mode"] == "2 streams"
    shown = kedge("results", "show", str(lines[0]["id"]), "--json", cwd=project).json
    assert shown["inferences_per_second"] == entry["rows"][1]["inferences_per_second"]


def test_ctrl_c_keeps_the_processes_that_have_ended(project: Path) -> None:
    command = [sys.executable, "-m", "toolkit.cli", "bench", "model.tflite", "--json"]
    process = subprocess.Popen(
        [*command, "--duration", "12s", "--rate", "20"],  # so that no process ends early
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    while "measure with" not in process.stderr.readline():
        assert process.poll() is None
    board, seen = Target("here", "local", root=str(project / "root")), set[int]()
    while len(seen) < 3:  # the third begins when two have ended
        assert process.poll() is None
        seen.update(jobs(board))
    process.send_signal(signal.SIGINT)
    said, log = process.communicate(timeout=120)

    assert process.returncode == 130, log
    (entry,) = json.loads(said)["targets"]
    assert entry["interrupted"]
    assert 2 <= entry["processes"] < 6
    assert "kept as result" in log


@pytest.mark.parametrize(
    "options",
    [
        ["--soak", "1s", "--rate", "5"],
        ["--rate", "0"],
        ["--quality", "best"],
        ["--soak", "13h"],
        ["--streams", "0"],
        ["--streams", "2", "--rate", "5"],
        ["--streams", "2", "--threads", "sweep"],
    ],
)
def test_options_that_do_not_go_together_are_wrong_usage(project: Path, options: list[str]) -> None:
    assert kedge("bench", "model.tflite", "--on", "here", *options, cwd=project).code == 2


@contextmanager
def busy_cores(count: int, seconds: float) -> Iterator[None]:
    """Other programs that keep so many cores busy, each pinned to one; they end by themselves."""
    program = (
        "import os, sys, time; os.sched_setaffinity(0, {int(sys.argv[1])})\n"
        "end = time.monotonic() + float(sys.argv[2])\n"
        "print(flush=True)\n"
        "while time.monotonic() < end: pass"
    )
    cores = sorted(os.sched_getaffinity(0))[:count]
    others = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(core), str(seconds)], stdout=subprocess.PIPE
        )
        for core in cores
    ]
    try:
        for other in others:
            assert other.stdout is not None
            other.stdout.readline()  # it is at work
        yield
    finally:
        for other in others:
            other.kill()
            other.communicate()


def test_another_program_at_work_on_the_board_makes_it_unstable(project: Path) -> None:
    with busy_cores(1, 600):
        entry = bench(project, "--duration", "600ms")

    assert entry["verdict"] == "UNSTABLE"
    assert any("competing load" in reason for reason in entry["reasons"])


def test_the_best_setting_of_a_sweep_is_said(project: Path) -> None:
    options = ["--threads", "sweep", "--quality", "quick", "--duration", "60ms"]
    ran = kedge("bench", "model.tflite", "--on", "here", *options, cwd=project)
    rows = len(os.sched_getaffinity(0))

    assert len(re.findall(r"^(?:VALID|UNSTABLE|INVALID) with \d+ thread", ran.out, re.M)) == rows
    assert ("best setting: --threads" in ran.out) is (rows > 1)


def test_a_result_that_is_not_there_is_named(project: Path) -> None:
    assert_refused(kedge("results", "show", "999", cwd=project), 3, "result 999")


def test_every_key_of_the_json_is_documented() -> None:
    taken = measurement([[1_000_000 + k for k in range(60)]] * 6)
    text = DOCUMENT.read_text(encoding="utf-8")
    entry = plain_measurement(taken)
    for name in [*entry, *entry["rows"][0], *entry["outliers"]]:
        assert f"`{name}`" in text, name


def test_the_keys_of_pace_and_soak_are_documented() -> None:
    taken = measurement([[1_000_000] * 60] * 6)
    run = replace(taken.rows[0].runs[0].run, period_ns=10_000_000, requests=60)
    starts, memory = tuple(range(60)), tuple(range(120))
    series = {"responses": (1_000_000,) * 60, "starts": starts, "memory": memory}
    runs = tuple(replace(one, run=run, series=series) for one in taken.rows[0].runs)
    entry = plain_measurement(replace(taken, rows=(row_of(taken.facts, 1, runs),)))
    text = DOCUMENT.read_text(encoding="utf-8")
    for name in [*entry["pace"], *entry["soak"]]:
        assert f"`{name}`" in text, name


def test_a_soak_asks_the_board_for_one_long_process() -> None:
    one = BenchSettings(soak_s=600.0).one_process(2)

    assert (one.soak, one.duration_s, one.threads, one.period_ns) == (True, 600.0, 2, 0)
    assert one.timeout_s > 600


def test_rows_are_kept_when_the_board_fails_at_a_later_one(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run_out_of_memory(*_: Any) -> NoReturn:
        raise AgentError("child_died", "here: one of the inference processes died", "Free memory.")

    monkeypatch.setattr(Jobs, "benchmark_streams", run_out_of_memory)
    target = Target("here", "local", root=str(project / "root"))
    settings = BenchSettings(duration_s=0.1, processes=2, quality="quick", streams=(1, 2))

    taken = run_bench(project / "model.tflite", target, settings)

    assert [row.streams for row in taken.rows] == [1]
    text = "\n".join(str(block) for block in describe_measurement(taken))
    assert "with 1 thread" in text
    assert "the rest was not measured: here: one of the inference processes died" in text
    assert exit_code_of_measurement(taken) == 7
    assert plain_measurement(taken)["failure"] == "here: one of the inference processes died"


def test_an_error_at_the_first_row_is_that_of_the_measurement(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> NoReturn:
        raise AgentError("child_died", "here: the inference process died")

    monkeypatch.setattr(Jobs, "benchmark", die)

    with pytest.raises(AgentError, match="died"):
        run_bench(project / "model.tflite", Target("here", "local", root=str(project / "root")))
