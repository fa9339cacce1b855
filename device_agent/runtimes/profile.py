"""The job `profile`: how long each step of an inference takes, whatever the runtime."""

from __future__ import annotations

import math
import resource
import time
from typing import Any, Callable, Dict, List, NamedTuple, Sequence, Tuple

from device_agent.job_fields import Job
from device_agent.runtimes.driver import Say, import_driver

_WARMUP_RUNS = 3
_LEAST_RUNS, _MOST_RUNS = 5, 100


class TimedStep(NamedTuple):
    """One step of one run."""

    op: str
    """Name that its executor gives it."""
    executor: str
    us: float
    """Duration in microseconds."""
    layer: str = ""
    """Name of the model's layer, where the runtime reports it."""


class Runs(NamedTuple):
    """Figures of the runs of a profile, the profiled ones and those between them."""

    positions: List[int]
    """Positions of the profiled runs that count."""
    whole_us: List[float]
    """Duration of each whole run without the profiler, in microseconds."""
    interrupted: int
    """Number of runs in which the kernel gave the core to another process."""


def profile_model(job: Job, say: Say) -> Dict[str, Any]:
    """Do the job: run a model for a while, and report the median of each step.

    Returns:
        The fields of `OpTimes`.
    """
    return import_driver(job, say).profile(job)


def no_profile(reason: str) -> Dict[str, Any]:
    """Return the fields of `OpTimes` where there are no times.

    Args:
        reason: Why there are none.
    """
    return {"steps": [], "runs": 0, "reason": reason}


def sample_runs(
    run: Callable[[], object], run_profiled: Callable[[], bool], duration_s: float
) -> Runs:
    """Run a model with and without its profiler, in turn.

    Args:
        run: Runs the model without the profiler.
        run_profiled: Runs it with the profiler, and returns whether that run was interrupted.
        duration_s: Seconds after which no further run begins; there are at least five.
    """
    runs = Runs([], [], 0)
    position, interrupted = -1, 0
    end = time.monotonic() + duration_s
    while len(runs.positions) < _LEAST_RUNS or (
        time.monotonic() < end and len(runs.positions) < _MOST_RUNS
    ):
        for _ in range(_WARMUP_RUNS):  # reading what the profiler wrote cools the caches
            run()
        began, before = time.perf_counter_ns(), interruptions()
        run()
        whole_ns, between = time.perf_counter_ns() - began, interruptions()
        position += 1
        if run_profiled() or between != before:
            interrupted += 1
            if interrupted <= _MOST_RUNS and time.monotonic() < end:
                continue
        runs.whole_us.append(whole_ns / 1e3)
        runs.positions.append(position)
    return runs._replace(interrupted=interrupted)


def summarize_runs(runs: Runs, steps: Sequence[Sequence[TimedStep]]) -> Dict[str, Any]:
    """Return the fields of `OpTimes`.

    Args:
        runs: Figures of the runs.
        steps: Steps of each profiled run, also of those that do not count.
    """
    low, median, high = median_with_ends(runs.whole_us)
    return {
        "steps": medians([steps[position] for position in runs.positions]),
        "reason": "",
        "runs": len(runs.positions),
        "interrupted": runs.interrupted,
        "whole_us": median,
        "whole_low_us": low,
        "whole_high_us": high,
    }


def interruptions() -> int:
    """Number of times that the kernel has given this process's core to another one."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nivcsw


def medians(runs: Sequence[Sequence[TimedStep]]) -> List[Dict[str, Any]]:
    """The median of each step over the runs that have the steps of most of them."""
    shapes = [[(step.op, step.executor) for step in run] for run in runs]
    usual = max(shapes, key=shapes.count)
    alike = [run for run, shape in zip(runs, shapes) if shape == usual]
    steps = []
    for position, (op, executor) in enumerate(usual):
        low, median, high = median_with_ends([run[position].us for run in alike])
        steps.append(
            {
                "op": op,
                "executor": executor,
                "median_us": median,
                "low_us": low,
                "high_us": high,
                "layer": alike[0][position].layer,
            }
        )
    return steps


def median_with_ends(values: Sequence[float]) -> Tuple[float, float, float]:
    """Return the lower end, the median and the upper end of its interval.

    The ends are the values whose ranks enclose the true median with about 95 %: 0.98 times the
    square root of n below and above the middle (normal approximation of the binomial), at most the
    smallest and the largest.
    """
    ordered = sorted(values)
    count = len(ordered)
    reach = 0.98 * math.sqrt(count)
    low = ordered[max(0, math.floor((count - 1) / 2 - reach))]
    high = ordered[min(count - 1, math.ceil((count - 1) / 2 + reach))]
    return low, (ordered[(count - 1) // 2] + ordered[count // 2]) / 2, high
