"""Whether a model that runs for long leaks memory or gets slower. Pure.

A trend counts when it is seen by test and interval over the whole soak, still goes on in its second
half (a pool that fills up and then rests is no leak), and changes the figure by more than noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from targets.board_run import BoardRun
from toolkit.judge.trend import Trend, fit_trend

STARTS, MEMORY = "starts", "memory"

LEAKS = "LEAKS"
SLOWS = "SLOWS"
STABLE = "STABLE"
TOO_SHORT = "TOO SHORT"

#: Number of windows of samples; their medians are the points of the trend of the latency.
WINDOWS = 60

#: Seconds of the shortest soak that gets a verdict: before, start-up looks like a leak.
LEAST_S = 60.0

#: Smallest growth over a soak that can be distinguished from none: before Linux 6.2 each thread
#: accounts up to 64 pages of 4 KiB for itself; of four threads that is this.
LEAST_GROWTH_BYTES = 1 << 20

#: Half of what a steady process may move by (see `steady.py`).
LEAST_SLOWING = 0.05

_HOUR_S = 3600.0
_LEAST_HOURS = 1 / 6


@dataclass(frozen=True)
class Soak:
    """Trends of one long process."""

    duration_s: float
    runs: int
    samples: int
    """Number of samples that were kept, evenly spread."""
    memory_start_bytes: int
    memory_end_bytes: int
    memory: Trend | None
    """Growth of the memory, bytes an hour; `None` with too few readings."""
    latency: Trend | None
    """Growth of the latency, microseconds an hour; `None` with too few samples."""
    verdict: tuple[str, ...]
    """LEAKS, SLOWS, both, STABLE or TOO SHORT."""

    @property
    def trend_unit(self) -> tuple[float, str]:
        """Hours that a trend is multiplied with to be reported, and the words behind the figure.

        A trend of a few minutes is reported over the whole soak: an hour of it would be a guess.
        """
        hours = self.duration_s / _HOUR_S
        return (hours, " in all") if hours < _LEAST_HOURS else (1.0, " an hour")

    @property
    def slowing(self) -> float | None:
        """Change of the latency an hour, as a share of what it was at first."""
        return self.latency.slope / self.latency.start if self.latency else None


def soak_of(run: BoardRun) -> Soak | None:
    """Judge the run of a soak; `None` when it was none."""
    if MEMORY not in run.series:
        return None
    readings = np.asarray(run.series[MEMORY], np.float64).reshape(-1, 2)
    starts = np.asarray(run.series[STARTS], np.float64)
    samples = np.asarray(run.samples_ns, np.float64) / 1e3
    windows = [w for w in np.array_split(np.arange(len(samples)), WINDOWS) if len(w)]
    seen_at = [float(np.median(starts[window])) / 1e9 / _HOUR_S for window in windows]
    medians = [float(np.median(samples[window])) for window in windows]
    read_at = list(readings[:, 0] / 1e9 / _HOUR_S)
    memory, slowing = fit_trend(read_at, list(readings[:, 1])), fit_trend(seen_at, medians)
    hours = run.run.wall_ns / 1e9 / _HOUR_S
    return Soak(
        duration_s=run.run.wall_ns / 1e9,
        runs=run.run.runs,
        samples=len(samples),
        memory_start_bytes=int(readings[0, 1]),
        memory_end_bytes=int(readings[-1, 1]),
        memory=memory,
        latency=slowing,
        verdict=_verdict(
            run.run.wall_ns / 1e9 >= LEAST_S and memory is not None and slowing is not None,
            _goes_on(memory, read_at, list(readings[:, 1]), LEAST_GROWTH_BYTES / hours),
            _goes_on(slowing, seen_at, medians, LEAST_SLOWING * medians[0] / hours),
        ),
    )


def _goes_on(
    whole: Trend | None, times: Sequence[float], values: Sequence[float], least_slope: float
) -> bool:
    """Whether a figure grows by at least so much an hour, in the second half as well."""
    if whole is None or not whole.is_seen or whole.slope < least_slope:
        return False
    half = len(values) // 2
    later = fit_trend(times[half:], values[half:])
    return later is not None and later.is_seen and later.slope > 0


def _verdict(is_long: bool, leaks: bool, slows: bool) -> tuple[str, ...]:
    if not is_long:
        return (TOO_SHORT,)
    words = [word for word, holds in ((LEAKS, leaks), (SLOWS, slows)) if holds]
    return tuple(words) or (STABLE,)
