"""Time a call that is asked for at a fixed rate, as a camera or a sensor does it.

The schedule is absolute: the n-th request arrives at `first + n * period`, whether or not the one
before it is done. A late one is served at once and none is left out, so a slow run also counts
against those that had to wait for it (no coordinated omission).
"""

from __future__ import annotations

import time
from array import array
from dataclasses import dataclass

from device_agent.contract.measurement import LEAST_RUNS
from device_agent.timing.benchmark import (
    MAX_RUNS,
    Call,
    Mark,
    Timing,
    no_mark,
    resting_collector,
    warm_up,
)


@dataclass(frozen=True)
class PacedTiming(Timing):
    """What the loop saw; `samples_ns` are service times: from a run's true start to its end."""

    responses_ns: "array[int]"
    """From the intended start of the same runs to their end."""
    requests: int
    """How many arrived until the loop ended; more than were served when the call is too slow."""


def time_paced(
    call: Call, warmup_s: float, duration_s: float, period_ns: int, mark: Mark = no_mark
) -> PacedTiming:
    """Warm up back to back, then serve requests that arrive every `period_ns`.

    Between two requests the process sleeps, as an application would: what the board does to an
    idle CPU, and how late it wakes one up, is part of the response.

    Args:
        call: Function that is timed.
        warmup_s: Longest time of the untimed phase in seconds; see `warm_up`.
        duration_s: How long requests arrive; at least `LEAST_RUNS` are served.
        period_ns: The time between two requests.
        mark: Looks at the board where nothing is timed.
    """
    clock = time.perf_counter_ns
    warmup_runs, warmup_ns = warm_up(call, warmup_s)
    planned = min(MAX_RUNS, max(LEAST_RUNS, int(duration_s * 1e9) // period_ns))
    services, responses = (array("Q", bytes(8 * planned)) for _ in range(2))
    count = 0
    mark("begin")
    with resting_collector():
        cpu, first = time.process_time_ns(), clock()
        end = first + planned * period_ns
        now = after = first
        while count < planned and (now < end or count < LEAST_RUNS):
            intended = first + count * period_ns
            while now < intended:
                time.sleep((intended - now) / 1e9)
                now = clock()
            before = clock()
            call()
            now = after = clock()
            services[count] = after - before
            responses[count] = after - intended
            count += 1
        cpu = time.process_time_ns() - cpu
    mark("end")
    return PacedTiming(
        warmup_runs=warmup_runs,
        warmup_ns=warmup_ns,
        samples_ns=services[:count],
        cpu_ns=cpu,
        wall_ns=after - first,
        responses_ns=responses[:count],
        requests=planned,
    )
