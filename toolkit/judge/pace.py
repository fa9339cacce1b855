"""What requests at a fixed rate saw. Pure.

A response lasts from the intended start of a request to the end of its run, so that waiting counts:
for the run before it, and for a board that is slow to wake up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from targets.device import BoardRun
from toolkit.judge.statistics import Latency, latency

RESPONSES = "responses"


@dataclass(frozen=True)
class Pace:
    """Requests of all processes together."""

    rate_hz: float
    requests: int
    """That arrived."""
    missed: int
    """Not answered before the next one arrived; those that were never served included."""
    unserved: int
    """Still waiting when the time was up."""
    response: Latency
    """From intended start to end."""
    back_to_back_us: float
    """Mean of the warm-up runs, which do not wait: what the pauses cost is the difference."""

    @property
    def period_us(self) -> float:
        """Between two requests."""
        return 1e6 / self.rate_hz


def pace_of(runs: Sequence[BoardRun]) -> Pace | None:
    """Summarize paced processes; `None` when they ran back to back."""
    period_ns = runs[0].run.period_ns
    if not period_ns:
        return None
    responses = [run.series[RESPONSES] for run in runs]
    requests = sum(run.run.requests for run in runs)
    served = sum(len(one) for one in responses)
    in_time = sum(response <= period_ns for one in responses for response in one)
    return Pace(
        rate_hz=1e9 / period_ns,
        requests=requests,
        missed=requests - in_time,
        unserved=requests - served,
        response=latency(responses),
        back_to_back_us=median(run.run.warmup_ns / run.run.warmup_runs for run in runs) / 1e3,
    )
