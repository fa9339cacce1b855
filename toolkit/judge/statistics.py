"""What the samples of a benchmark allow to be said. Pure; every figure with its uncertainty.

Rules:
    The processes are the independent observations: samples within one are autocorrelated, so the
    interval comes from the medians of fresh processes, never from the pooled samples.
    No percentile without the samples that bound it.
    Outliers are counted and stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

import numpy as np
import numpy.typing as npt

from toolkit.judge.outliers import Outliers, count_outliers

#: With six processes the smallest and the largest of their medians enclose the true median with
#: 1 - 2 * 0.5**6 = 96.9 % (order statistics of a sign test); with five it would be 93.8 %.
PROCESSES = 6

#: Smallest probability with which an interval encloses the median, once there are `PROCESSES`.
CONFIDENCE = 0.95

#: Fewest samples whose largest bounds the percentile with 95 % confidence: the smallest n with
#: p**n <= 0.05.
PERCENTILE_SAMPLES = {90: 29, 95: 59, 99: 299}


Ascending = np.ndarray[tuple[int], np.dtype[np.float64]]
"""Values in ascending order, `(values,)`."""


@dataclass(frozen=True)
class Latency:
    """The latency of one model with one setting on one board."""

    median_us: float
    """Median of the processes' medians."""
    interval_us: tuple[float, float]
    """Bounds that enclose the median with `confidence`; distribution-free."""
    confidence: float
    """0-1; follows from the number of processes."""
    process_medians_us: tuple[float, ...]
    samples: int
    """Number of samples of all processes together."""
    fastest_us: float
    slowest_us: float
    """The slowest run seen; no bound on what is possible."""
    percentiles_us: dict[int, float | None]
    """By percentile; `None` where there were too few samples for it."""
    mean_us: float
    sd_us: float
    """Standard deviation of all samples."""
    mad_us: float
    """Median absolute deviation of all samples from their median."""
    outliers: Outliers
    """Counted process by process; all figures include them."""


def latency(processes_ns: Sequence[Sequence[int] | npt.NDArray[np.uint64]]) -> Latency:
    """Summarize the steady samples of several fresh processes.

    Args:
        processes_ns: Samples of each process in nanoseconds, `(samples,)`, whole numbers, in any
            order; none empty.
    """
    processes = [np.array(samples, np.float64) for samples in processes_ns]
    for samples in processes:  # in place: pages of memory that are new cost as much as the sorting
        samples.sort()
        samples /= 1e3
    medians = [_middle(samples) for samples in processes]
    low, high, confidence = median_interval(medians)
    # "stable" merges what is in order already: several times as fast as sorting it again.
    pooled = np.sort(np.concatenate(processes), kind="stable")
    middle = _middle(pooled)
    return Latency(
        median_us=median(medians),
        interval_us=(low, high),
        confidence=confidence,
        process_medians_us=tuple(medians),
        samples=len(pooled),
        fastest_us=float(pooled[0]),
        slowest_us=float(pooled[-1]),
        percentiles_us={
            percent: _percentile(pooled, percent) if len(pooled) >= least else None
            for percent, least in PERCENTILE_SAMPLES.items()
        },
        mean_us=float(pooled.mean()),
        sd_us=float(pooled.std(ddof=1)) if len(pooled) > 1 else 0.0,
        mad_us=_deviation(pooled, middle),
        outliers=count_outliers(processes),
    )


def median_interval(values: Sequence[float]) -> tuple[float, float, float]:
    """Enclose the median that `values` are independent observations of.

    The k-th smallest and the k-th largest of n enclose it with ``1 - 2 * P(B < k)``, B binomial
    with n and one half (David and Nagaraja, Order Statistics, 7.1): the largest k for which that is
    at least `CONFIDENCE`, or the extremes where none is.

    Returns:
        Lower bound, upper bound, and the confidence (0-1; 0 for a single value).
    """
    ordered, count = sorted(values), len(values)
    inner = 0
    while 2 * (inner + 1) < count and _confidence(count, inner + 1) >= CONFIDENCE:
        inner += 1
    confidence = _confidence(count, inner) if count > 1 else 0.0
    return ordered[inner], ordered[-1 - inner], confidence


def _confidence(count: int, inner: int) -> float:
    """Return the confidence of the interval that leaves out `inner` values on each side."""
    return 1 - 2 * sum(comb(count, below) for below in range(inner + 1)) / 2.0**count


def _middle(ordered: Ascending) -> float:
    """Return the median of ascending values."""
    return float(ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def _deviation(ordered: Ascending, middle: float) -> float:
    """Return the median of the distances of ascending values from a value among them.

    The k values that are nearest to it are neighbours, so the k-th distance is the smallest that
    the ends of k neighbours have.
    """
    count = len(ordered)
    ranks = ((count - 1) // 2, count // 2)
    low, high = (
        float(np.maximum(middle - ordered[: count - rank], ordered[rank:] - middle).min())
        for rank in ranks
    )
    return (low + high) / 2


def _percentile(ordered: Ascending, percent: int) -> float:
    """Nearest rank: the smallest sample with at least `percent` of all at or below it."""
    rank = -(-percent * len(ordered) // 100)
    return float(ordered[max(0, rank - 1)])
