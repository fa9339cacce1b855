"""Runs every check and every test of kedge, stage by stage, and says how long each took.

`check.py` runs all stages, `check.py unit docs` only those named. All stages run, also after one
has failed; the failed ones are listed at the end.
"""

# ruff: noqa: T201 - it prints, that is its work

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOOLS = Path(sys.executable).parent
STAGE_WITHIN_SECONDS = 40 * 60

# What is not named here is a unit test: a new test file runs without being listed.
TEST_STAGES = {
    "boards": ("tests/test_boards.py", "tests/conformance"),
    "converters": ("tests/converters",),
    "faults and fuzz": ("tests/faults", "tests/fuzz"),
    "docs": ("tests/docs",),
}
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


def stages() -> list[Stage]:
    """All stages, in the order in which they run: the quick ones first."""
    static = [
        Stage("format", (_tool("ruff"), "format", "--check", ".")),
        Stage("lint", (_tool("ruff"), "check", ".")),
        Stage("types", (_tool("mypy"),)),
        Stage("layers", (_tool("lint-imports"),)),
        Stage("agent runs on Python 3.7", (_tool("vermin"), *_vermin_options(), "device_agent")),
    ]
    elsewhere = [path for paths in TEST_STAGES.values() for path in paths]
    unit = _pytest(["tests", *(f"--ignore={path}" for path in elsewhere)])
    tests = [Stage("unit", unit)]
    for name, paths in TEST_STAGES.items():
        if name == "boards":
            tests.append(Stage("arm64 root", (sys.executable, "-m", "tests.arm64_root")))
        tests.append(Stage(name, _pytest(paths)))
        if name == "converters":
            quick = (sys.executable, "-m", "benchmarks.compression", "--quick")
            tests.append(Stage("compression, quick", quick))
    return [*static, *tests]


def _tool(name: str) -> str:
    return str(TOOLS / name)


def _vermin_options() -> tuple[str, ...]:
    # `3.7-`: 3.7 or anything older. The annotations are never evaluated on the board.
    return ("-t=3.7-", "--no-tips", "--violations", "--no-eval-annotations")


def _pytest(arguments: Sequence[str]) -> tuple[str, ...]:
    # A test that hangs shows where, well before the stage is ended.
    return (_tool("pytest"), "-o", "faulthandler_timeout=600", *arguments)


def run(stage: Stage) -> Outcome:
    """Runs a stage; its output is shown as it comes."""
    print(f"== stage {stage.name}", flush=True)
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
    last = ""
    # An alarm, as a stage that hangs in silence never returns from the reading.
    signal.signal(signal.SIGALRM, lambda *_: os.killpg(process.pid, signal.SIGKILL))
    signal.alarm(STAGE_WITHIN_SECONDS)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line.strip(" =\n") or last
        code = process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()
        raise
    finally:
        signal.alarm(0)
        process.stdout.close() if process.stdout else None
    seconds = time.monotonic() - started
    print(f"== stage {stage.name}: {seconds:.0f} s\n", flush=True)
    return Outcome(stage.name, code, seconds, last)


def main(names: Sequence[str]) -> int:
    """Runs the stages and prints one line for each at the end."""
    chosen = [stage for stage in stages() if not names or stage.name in names]
    unknown = set(names) - {stage.name for stage in chosen}
    if unknown:
        known = ", ".join(stage.name for stage in stages())
        print(f"no stage {', '.join(sorted(unknown))}; there are: {known}", file=sys.stderr)
        return 2
    outcomes = [run(stage) for stage in chosen]
    failed = [outcome for outcome in outcomes if outcome.code != 0]
    for outcome in outcomes:
        word = "FAILED" if outcome in failed else "ok"
        print(f"{word:<7}{outcome.seconds:5.0f} s  {outcome.name:<26}{outcome.last_line}")
    total = sum(outcome.seconds for outcome in outcomes)
    print(f"{len(outcomes) - len(failed)} of {len(outcomes)} stages passed in {total:.0f} s")
    if failed:
        print("failed:", ", ".join(outcome.name for outcome in failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
