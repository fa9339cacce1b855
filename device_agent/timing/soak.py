"""Run one call for minutes or hours in one process, in a memory that does not grow.

What grows would look like a leak of the runtime, and a board has little. So the samples are
thinned: when their places are used up, every second one goes, and from then on every second run
is kept, then every fourth, and so on. What is left is evenly spread over the whole soak.
"""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass
from typing import Callable

from device_agent.contract.measurement import LEAST_RUNS
from device_agent.timing.benchmark import (
    Call,
    Mark,
    Timing,
    no_mark,
    resting_collector,
    warm_up,
)
from device_agent.timing.usage import rss_bytes

#: Number of samples and of their starts: 1 MiB together. A power of two, so that halving is exact.
PLACES = 1 << 16

#: The memory is read so often over the whole soak: enough for a trend, too seldom to disturb.
READINGS = 600

#: Time between two progress events to the host.
_WORD_NS = 1_000_000_000

Say = Callable[[float, float], bool]
"""Called with the seconds done and those there are; returns whether to go on."""


@dataclass(frozen=True)
class SoakTiming(Timing):
    """What the loop saw; `samples_ns` are thinned."""

    starts_ns: "array[int]"
    """When each of the kept runs began, since the loop did."""
    memory: "array[int]"
    """Pairs: nanoseconds since the loop began, resident bytes of the process."""
    runs: int
    """All of them, those not kept included."""


def time_soak(
    call: Call, warmup_s: float, duration_s: float, say: Say, mark: Mark = no_mark
) -> SoakTiming:
    """Call again and again, back to back, and read the memory of the process meanwhile.

    Args:
        call: Function that is timed.
        warmup_s: Longest time of the untimed phase in seconds; see `warm_up`.
        duration_s: How long the soak lasts; seconds.
        say: Tells how far it is, about once a second; may end the soak early.
        mark: Looks at the board where nothing is timed.
    """
    clock = time.perf_counter_ns
    warmup_runs, warmup_ns = warm_up(call, warmup_s)
    samples, starts = (array("Q", bytes(8 * PLACES)) for _ in range(2))
    memory = array("Q", bytes(16 * READINGS))
    interval = max(1, int(duration_s * 1e9) // READINGS)
    used, stride, count, readings = 0, 1, 0, 0
    mark("begin")
    with resting_collector():
        cpu, first = time.process_time_ns(), clock()
        end, after = first + int(duration_s * 1e9), first
        reading_due, word_due = first, first + _WORD_NS
        while after < end or count < LEAST_RUNS:
            before = clock()
            call()
            after = clock()
            if count % stride == 0:
                if used == PLACES:
                    used, stride = PLACES // 2, 2 * stride
                    for series in (samples, starts):
                        series[:used] = series[::2]
                samples[used], starts[used] = after - before, before - first
                used += 1
            count += 1
            if after >= reading_due and readings < READINGS:
                memory[2 * readings], memory[2 * readings + 1] = after - first, rss_bytes()
                readings, reading_due = readings + 1, after + interval
            if after >= word_due:
                end = end if say((after - first) / 1e9, duration_s) else after
                word_due = after + _WORD_NS
        cpu = time.process_time_ns() - cpu
    mark("end")
    return SoakTiming(
        warmup_runs=warmup_runs,
        warmup_ns=warmup_ns,
        samples_ns=samples[:used],
        cpu_ns=cpu,
        wall_ns=after - first,
        starts_ns=starts[:used],
        memory=memory[: 2 * readings],
        runs=count,
    )
