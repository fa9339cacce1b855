"""Response times of requests at a fixed rate. Pure.

A response lasts from the intended start of a request to the end of its run, so that waiting counts:
for the run before it, and for a board that is slow to wake up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from targets.board_run import BoardRun
from toolkit.judge.statistics import Latency, latency

RESPONSES = "responses"


@dataclass(frozen=True)
class Pace:
    """Requests of all processes together."""

    rate_hz: float
    requests: int
    """Number of requests that arrived."""
    missed: int
    """Number of requests that were not answered before the next one arrived, or never."""
    unserved: int
    """Number of requests that were waiting when the time was up."""
    response: Latency
    """Time from the intended start of a request to its end."""
    back_to_back_us: float
    """Mean of the warm-up runs, which do not wait: what the pauses cost is the difference."""

    @property
    def period_us(self) -> float:
        """Time between two requests, in microseconds."""
        return 1e6 / self.rate_hz


def pace_of(runs: Sequence[BoardRun]) -> Pace | None:
    """Summarize paced processes; `None` when they ran back to back."""
    period_ns = runs[0].run.period_ns
    if not period_ns:
        return None
    responses = [run.series[RESPONSES] for run in runs]
    requests = sum(run.run.requests for run in runs)
    served = sum(map(len, responses))
    in_time = sum(response <= period_ns for process in responses for response in process)
    return Pace(
        rate_hz=1e9 / period_ns,
        requests=requests,
        missed=requests - in_time,
        unserved=requests - served,
        response=latency(responses),
        back_to_back_us=median(run.run.warmup_ns / run.run.warmup_runs for run in runs) / 1e3,
    )
