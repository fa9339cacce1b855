"""How two latencies compare: the ratio of their medians, its interval, what it allows to say. Pure.

The process medians are the observations (see `statistics.py`); they are resampled, so that no
distribution is assumed. A verdict needs the whole interval on one side of a bound: a bare ratio
decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median

import numpy as np
import numpy.typing as npt

from toolkit.judge.statistics import PROCESSES

IMPROVED = "IMPROVED"
REGRESSED = "REGRESSED"
UNCHANGED = "UNCHANGED"
INCONCLUSIVE = "INCONCLUSIVE"

#: Fewest processes of an arm: what a plain benchmark runs.
LEAST_PROCESSES = PROCESSES

#: Differences within this are noise on any machine (criterion's default noise threshold).
NOISE = 0.02

CONFIDENCE = 0.95
RESAMPLES = 10_000


@dataclass(frozen=True)
class Ratio:
    """B over A: above 1, B is slower."""

    value: float
    interval: tuple[float, float]
    """Encloses the true ratio with 95 % confidence (percentile bootstrap)."""
    verdict: str
    """IMPROVED, REGRESSED, UNCHANGED or INCONCLUSIVE."""
    processes_needed: int | None
    """Number of processes of each arm that would about decide it, when INCONCLUSIVE."""


def compare_medians(
    first_us: Sequence[float], second_us: Sequence[float], max_regression: float
) -> Ratio:
    """Compare the process medians of two arms.

    Args:
        first_us: Median of each process of A, microseconds; at least `LEAST_PROCESSES`.
        second_us: Median of each process of B, microseconds; at least `LEAST_PROCESSES`.
        max_regression: Largest accepted slowdown of B, as a share of A; 0-1.

    Raises:
        ValueError: There are too few processes for any interval.
    """
    if min(len(first_us), len(second_us)) < LEAST_PROCESSES:
        raise ValueError(f"a comparison takes at least {LEAST_PROCESSES} processes of each arm")
    value, interval = median(second_us) / median(first_us), _bootstrap(first_us, second_us)
    verdict = _verdict(interval, max_regression)
    needed = None
    if verdict == INCONCLUSIVE:
        needed = _needed(len(first_us), value, interval, max_regression)
    return Ratio(value, interval, verdict, needed)


def _bootstrap(first_us: Sequence[float], second_us: Sequence[float]) -> tuple[float, float]:
    """Enclose the ratio of the medians; NumPy alone, as SciPy takes half a second to import."""
    random = np.random.default_rng(0)  # the same samples, the same interval
    first, second = (_resample_medians(random, medians) for medians in (first_us, second_us))
    low, high = np.quantile(second / first, ((1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2))
    return float(low), float(high)


def _resample_medians(
    random: np.random.Generator, medians_us: Sequence[float]
) -> npt.NDArray[np.float64]:
    """Return the medians of `RESAMPLES` draws with replacement, shape (`RESAMPLES`,)."""
    draws = random.integers(0, len(medians_us), (RESAMPLES, len(medians_us)))
    return np.asarray(np.median(np.asarray(medians_us, np.float64)[draws], axis=1))


def _verdict(interval: tuple[float, float], max_regression: float) -> str:
    low, high = interval
    if low > 1 + max_regression:
        return REGRESSED
    if high < 1 - NOISE:
        return IMPROVED
    return UNCHANGED if low >= 1 - NOISE and high <= 1 + max_regression else INCONCLUSIVE


def _needed(
    processes: int, value: float, interval: tuple[float, float], max_regression: float
) -> int:
    """The interval narrows with the square root of the processes, until it leaves each bound out.

    A ratio that lies on a bound is never settled; half the noise away from it is near enough.
    """
    half = (interval[1] - interval[0]) / 2
    nearest = min(abs(value - (1 - NOISE)), abs(value - (1 + max_regression)))
    return max(processes + 1, ceil(processes * (half / max(nearest, NOISE / 2)) ** 2))
