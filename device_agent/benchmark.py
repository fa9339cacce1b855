"""Time one call many times. No statistics here: the samples themselves travel to the host."""

from __future__ import annotations

import gc
import time
from array import array
from dataclasses import dataclass
from typing import Callable

#: Warm-up lasts at least so many runs, however slow one is.
MIN_WARMUP_RUNS = 1

#: The steady phase has at least so many runs, however slow one is.
MIN_RUNS = 5

#: The most places for samples; the loop ends when they are used up.
MAX_RUNS = 1 << 20

#: Half a MiB: a warm-up that was interrupted expects too few runs, and must not end the timing.
_FEWEST_PLACES = 1 << 16


@dataclass(frozen=True)
class Timing:
    """What the loop saw."""

    warmup_runs: int
    samples_ns: "array[int]"
    """One steady run each, in order; unsigned 64-bit."""
    cpu_ns: int
    """CPU time of all threads of the process during the steady phase."""
    wall_ns: int


def _places(expected_runs: float) -> int:
    """Room for twice the runs that the warm-up lets expect: more is memory of the board."""
    return max(MIN_RUNS, min(MAX_RUNS, max(_FEWEST_PLACES, 2 * int(expected_runs) + MIN_RUNS)))


def time_calls(call: Callable[[], object], warmup_s: float, duration_s: float) -> Timing:
    """Call again and again, first untimed, then timed.

    Args:
        call: What is timed.
        warmup_s: How long the untimed phase lasts at least; seconds.
        duration_s: How long the timed phase lasts, in seconds, unless the places for samples are
            used up first.
    """
    clock = time.perf_counter_ns
    warmup_runs, started = 0, clock()
    end = started + int(warmup_s * 1e9)
    while warmup_runs < MIN_WARMUP_RUNS or clock() < end:
        call()
        warmup_runs += 1
    places = _places(duration_s * 1e9 * warmup_runs / max(1, clock() - started))
    samples = array("Q", bytes(8 * places))  # touched now, so that no page fault is timed
    count = 0
    collecting = gc.isenabled()
    gc.disable()
    try:
        cpu, first = time.process_time_ns(), clock()
        end = first + int(duration_s * 1e9)
        after = first
        while (after < end or count < MIN_RUNS) and count < places:
            before = clock()
            call()
            after = clock()
            samples[count] = after - before
            count += 1
        cpu = time.process_time_ns() - cpu
    finally:
        if collecting:
            gc.enable()
    return Timing(warmup_runs, samples[:count], cpu, after - first)
