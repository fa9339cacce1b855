"""Time one call many times. No statistics here: the samples themselves travel to the host."""

from __future__ import annotations

import contextlib
import gc
import time
from array import array
from dataclasses import dataclass
from typing import Callable, Iterator, List, Tuple

from device_agent.contract.measurement import LEAST_RUNS

#: Warm-up is watched in windows of this length, or of one run where that takes longer.
_WINDOW_S = 0.03

#: Windows in a row that must be equally fast, and how much the slowest may differ from the fastest:
#: by then the clock of the CPU has risen and the caches are filled. The fastest call of a window
#: counts, which an interruption by another program does not change.
_EQUAL_WINDOWS = 3
_EQUAL = 1.02

#: The most places for samples; the loop ends when they are used up.
MAX_RUNS = 1 << 20

#: Half a MiB: a warm-up that was interrupted expects too few runs, and must not end the timing.
_FEWEST_PLACES = 1 << 16

Call = Callable[[], object]

Mark = Callable[[str], None]
"""Called with `begin` between warm-up and loop, and with `end` right after the loop."""


def no_mark(moment: str) -> None:
    """Look at nothing."""


@dataclass(frozen=True)
class Timing:
    """What the loop saw."""

    warmup_runs: int
    warmup_ns: int
    samples_ns: "array[int]"
    """One steady run each, in order; unsigned 64-bit."""
    cpu_ns: int
    """CPU time of all threads of the process during the steady phase."""
    wall_ns: int


def _places(expected_runs: float) -> int:
    """Room for twice the runs that the warm-up lets expect: more is memory of the board."""
    return max(LEAST_RUNS, min(MAX_RUNS, max(_FEWEST_PLACES, 2 * int(expected_runs) + LEAST_RUNS)))


def time_calls(
    call: Call,
    warmup_s: float,
    duration_s: float,
    mark: Mark = no_mark,
    least_runs: int = LEAST_RUNS,
) -> Timing:
    """Call again and again, first untimed, then timed.

    Args:
        call: Function that is timed.
        warmup_s: Longest time of the untimed phase in seconds; see `warm_up`.
        duration_s: How long the timed phase lasts, in seconds, unless the places for samples are
            used up first.
        mark: Looks at the board where nothing is timed.
        least_runs: The timed phase has at least so many runs, however long it lasts.
    """
    clock = time.perf_counter_ns
    warmup_runs, warmup_ns = warm_up(call, warmup_s)
    places = _places(duration_s * 1e9 * warmup_runs / max(1, warmup_ns))
    samples = array("Q", bytes(8 * places))  # touched now, so that no page fault is timed
    count = 0
    mark("begin")
    with resting_collector():
        cpu, first = time.process_time_ns(), clock()
        end = first + int(duration_s * 1e9)
        after = first
        while (after < end or count < least_runs) and count < places:
            before = clock()
            call()
            after = clock()
            samples[count] = after - before
            count += 1
        cpu = time.process_time_ns() - cpu
    mark("end")
    return Timing(warmup_runs, warmup_ns, samples[:count], cpu, after - first)


def warm_up(call: Call, warmup_s: float) -> Tuple[int, int]:
    """Call again and again, untimed, until the calls are equally fast; at least once.

    Args:
        call: Function that will be timed.
        warmup_s: Longest time in seconds.

    Returns:
        Number of calls, and how long they took in nanoseconds.
    """
    clock = time.perf_counter_ns
    runs, started = 0, clock()
    end, now = started + int(warmup_s * 1e9), started
    speeds: List[int] = []  # nanoseconds of the fastest call of each window
    while not runs or (now < end and not _is_steady(speeds)):
        first, began, fastest = runs, now, 0
        while runs == first or (now < end and now < began + _WINDOW_S * 1e9):
            before = now
            call()
            runs += 1
            now = clock()
            if not fastest or now - before < fastest:
                fastest = now - before
        speeds.append(fastest)
    return runs, now - started


def _is_steady(speeds: List[int]) -> bool:
    last = speeds[-_EQUAL_WINDOWS:]
    return len(last) == _EQUAL_WINDOWS and max(last) <= _EQUAL * min(last)


@contextlib.contextmanager
def resting_collector() -> Iterator[None]:
    """Keep Python's garbage collector from running meanwhile; leave it as it was."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
