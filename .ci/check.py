"""Runs every check and every test of kedge, stage by stage, and says how long each took.

`check.py` runs all stages but the worked examples, `check.py unit docs` only those named. All
stages run, also after one has failed; the failed ones are listed at the end. Stages of one
line of `plan` run at the same time, since each of them keeps one core busy; the other tests run on
all cores, a file on one.
"""

# ruff: noqa: T201 - it prints, that is its work

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(sys.executable).parent
STAGE_WITHIN_SECONDS = 40 * 60

# What is not named here is a unit test: a new test file runs without being listed.
TEST_STAGES = {
    "boards": ("tests/test_boards.py", "tests/conformance"),
    "converters": ("tests/converters",),
    "fleet": ("tests/toolkit/bundle", "tests/toolkit/fleet", "tests/device_agent/releases"),
    "faults and fuzz": ("tests/faults", "tests/fuzz"),
    "docs": ("tests/docs",),
    "examples": ("tests/examples",),
}
# Half an hour, so that they run only where they are named: `check.py examples`, `make examples`.
ON_REQUEST = ("examples",)
# Boards start once for all files, and some tests look at all mounts of the computer.
IN_ONE_PROCESS = ("boards", "faults and fuzz", "docs")
PACKAGES = ("toolkit", "targets", "converters", "device_agent")


@dataclass(frozen=True)
class Stage:
    """One command of the check."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """How a stage ended: its exit code, its time and its last line."""

    name: str
    code: int
    seconds: float
    last_line: str


def plan() -> list[list[Stage]]:
    """All stages in order, the quick ones first; the stages of one entry run at the same time."""
    elsewhere = [path for paths in TEST_STAGES.values() for path in paths]
    unit = _pytest(["tests", *(f"--ignore={path}" for path in elsewhere)], parallel=True)
    tests = {
        name: Stage(name, _pytest(paths, parallel=name not in IN_ONE_PROCESS))
        for name, paths in TEST_STAGES.items()
    }
    quick = (sys.executable, "-m", "benchmarks.compression", "--quick")
    return [
        [Stage("format", (_tool("ruff"), "format", "--check", "."))],
        [Stage("lint", (_tool("ruff"), "check", "."))],
        [Stage("layers", (_tool("lint-imports"),))],
        [Stage("agent runs on Python 3.7", (_tool("vermin"), *_vermin_options(), "device_agent"))],
        [
            Stage("types", (_tool("mypy"),)),
            Stage("arm64 root", (sys.executable, "-m", "tests.arm64_root")),
            Stage("compression, quick", quick),
        ],
        [Stage("unit", unit)],
        [tests["converters"]],
        [tests["fleet"]],
        [tests["boards"], tests["faults and fuzz"]],
        [tests["docs"]],
        [tests["examples"]],
    ]


def _tool(name: str) -> str:
    return str(TOOLS / name)


def _vermin_options() -> tuple[str, ...]:
    # `3.7-`: 3.7 or anything older. The annotations are never evaluated on the board.
    return ("-t=3.7-", "--no-tips", "--violations", "--no-eval-annotations")


def _pytest(arguments: Sequence[str], parallel: bool) -> tuple[str, ...]:
    # A test that hangs shows where, well before the stage is ended.
    command = (_tool("pytest"), "-o", "faulthandler_timeout=600")
    if parallel:  # the tests of a file share what they make: they stay together
        workers = str(min(4, len(os.sched_getaffinity(0))))
        command += ("-n", workers, "--dist", "loadfile")
    return (*command, *arguments)


def run(stages: Sequence[Stage]) -> list[Outcome]:
    """Runs stages at the same time; the output of the first is shown as it comes."""
    with ThreadPoolExecutor() as pool:
        first, *others = [
            pool.submit(_run, stage, show=number == 0) for number, stage in enumerate(stages)
        ]
        try:
            outcomes = [first.result()[0]]
            for other in others:
                outcome, lines = other.result()
                print("".join(lines), end="", flush=True)
                outcomes.append(outcome)
        except BaseException:
            for process in list(_running):
                _end(process, signal.SIGTERM)
            raise
    return outcomes


def _run(stage: Stage, show: bool) -> tuple[Outcome, list[str]]:
    lines: list[str] = []

    def say(line: str) -> None:
        if show:
            print(line, end="", flush=True)
        else:
            lines.append(line)

    say(f"== stage {stage.name}\n")
    started = time.monotonic()
    process = subprocess.Popen(
        stage.command,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,  # so that a stage that hangs can be ended with all its children
    )
    _running.append(process)
    # A timer, as a stage that hangs in silence never returns from the reading.
    limit = threading.Timer(STAGE_WITHIN_SECONDS, _end, (process, signal.SIGKILL))
    limit.daemon = True
    limit.start()
    last = ""
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            say(line)
            last = line.strip(" =\n") or last
    code = process.wait()
    limit.cancel()
    _running.remove(process)
    seconds = time.monotonic() - started
    say(f"== stage {stage.name}: {seconds:.0f} s\n\n")
    return Outcome(stage.name, code, seconds, last), lines


_running: list["subprocess.Popen[str]"] = []


def _end(process: "subprocess.Popen[str]", number: int) -> None:
    if process.poll() is None:
        os.killpg(process.pid, number)


def main(names: Sequence[str]) -> int:
    """Runs the stages and prints one line for each at the end."""
    groups = plan()
    known = [stage.name for group in groups for stage in group]
    unknown = set(names) - set(known)
    if unknown:
        words = ", ".join(sorted(unknown))
        print(f"no stage {words}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    started = time.monotonic()
    outcomes: list[Outcome] = []
    for group in groups:
        chosen = [
            stage
            for stage in group
            if (stage.name in names if names else stage.name not in ON_REQUEST)
        ]
        if chosen:
            outcomes += run(chosen)
    failed = [outcome for outcome in outcomes if outcome.code != 0]
    for outcome in outcomes:
        word = "FAILED" if outcome in failed else "ok"
        print(f"{word:<7}{outcome.seconds:5.0f} s  {outcome.name:<26}{outcome.last_line}")
    total = time.monotonic() - started
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} stages passed in {total:.0f} s")
    if failed:
        print("failed:", ", ".join(outcome.name for outcome in failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
