"""The wall clock of a board is set while it measures: no duration moves, and it is said."""

import sys
import time
from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from device_agent.child import TICK_S, run_job
from device_agent.contract.codes import CHILD_TIMEOUT, RefusalError
from device_agent.contract.conditions import conditions_from_json
from tests.toolkit.measurements import board_run
from toolkit.judge.disturbance import clock_jump

#: A job whose wall clock is an hour further back each time it is read.
JOB = """
import sys, time
start, reads = time.time_ns(), [0]
def back():
    reads[0] += 1
    return start - reads[0] * 3600 * 10**9
time.time_ns = back
time.time = lambda: back() / 1e9
from device_agent import job
sys.exit(job.main())
"""

#: Nothing else lasts on a fast machine: a job ends when it has as many samples as it has room for.
LONG = {"soak": True, "duration_s": 50.0}


@pytest.fixture
def job(tmp_path: Path, model: Path) -> dict[str, Any]:
    return {
        "kind": "benchmark",
        "runtime": "ai-edge-litert",
        "tree": "",
        "model": str(model),
        "threads": 1,
        "warmup_s": 0.02,
        "duration_s": 0.1,
        "seed": 0,
        "period_ns": 0,
        "soak": False,
        "folder": str(tmp_path),
    }


@pytest.mark.parametrize("more", [{}, {"period_ns": 5_000_000}, {"soak": True}])
def test_durations_are_those_of_the_clock_that_is_never_set(
    job: dict[str, Any], more: dict[str, Any]
) -> None:
    began = time.monotonic_ns()
    found = run_job([sys.executable, "-c", JOB], {**job, **more}, 60, lambda _: None, lambda: None)
    elapsed = time.monotonic_ns() - began
    samples = array("Q", Path(job["folder"], "samples").read_bytes())

    assert len(samples) == found["sample_count"] >= 10
    assert 0 < sum(samples) <= found["wall_ns"] <= elapsed
    for name in ("import_ns", "load_ns", "allocate_ns", "first_invoke_ns", "warmup_ns"):
        assert 0 < found[name] < elapsed

    moments = tuple(conditions_from_json(entry) for entry in found["moments"])
    assert [entry.moment for entry in moments] == ["begin", "end"]
    assert 0 < moments[1].monotonic_ns - moments[0].monotonic_ns < elapsed
    jump = clock_jump([replace(board_run([1]), conditions=moments)])
    assert jump is not None
    assert "jumped by 3600" in jump


class _SecondTickError(Exception):
    """Ends the job: nobody has to wait for the rest of it."""


def test_a_job_is_waited_for_by_the_clock_that_is_never_set(
    job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent's own clock stands still: its ticks come nevertheless."""
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    ticks: list[int] = []

    def tick() -> None:
        ticks.append(time.monotonic_ns())
        if len(ticks) == 2:
            raise _SecondTickError

    command = [sys.executable, "-c", JOB]
    with pytest.raises(_SecondTickError):
        run_job(command, {**job, **LONG}, 60, lambda _: None, tick)
    assert ticks[1] - ticks[0] >= TICK_S * 1e9


def test_a_deadline_is_kept_by_the_clock_that_is_never_set(
    job: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 0.0)
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    command = [sys.executable, "-c", JOB]
    with pytest.raises(RefusalError) as caught:
        run_job(command, {**job, **LONG}, 0.5, lambda _: None, lambda: None)
    assert caught.value.code == CHILD_TIMEOUT
