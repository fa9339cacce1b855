"""What the samples of a benchmark allow to be said. Pure; every figure with its uncertainty.

Rules:
    The processes are the independent observations: samples within one are autocorrelated, so the
    interval comes from the medians of fresh processes, never from the pooled samples.
    No percentile without the samples that bound it.
    Outliers stay.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

#: With six processes the smallest and the largest of their medians enclose the true median with
#: 1 - 2 * 0.5**6 = 96.9 % (order statistics of a sign test); with five it would be 93.8 %.
PROCESSES = 6

#: Fewest samples whose largest bounds the percentile with 95 % confidence: the smallest n with
#: p**n <= 0.05.
PERCENTILE_SAMPLES = {90: 29, 95: 59, 99: 299}

#: A run is steady when three successive windows agree within this ratio (perf_analyzer's rule).
STEADY_WINDOWS = 3
STEADY_RATIO = 1.10


@dataclass(frozen=True)
class Latency:
    """The latency of one model with one setting on one board."""

    median_us: float
    """Median of the processes' medians."""
    interval_us: tuple[float, float]
    """Encloses the median with the confidence below; distribution-free."""
    confidence: float
    """0-1; follows from the number of processes."""
    process_medians_us: tuple[float, ...]
    samples: int
    """Of all processes together."""
    fastest_us: float
    slowest_us: float
    """The slowest run seen; no bound on what is possible."""
    percentiles_us: dict[int, float | None]
    """By percentile; `None` where there were too few samples for it."""


def latency(processes_ns: Sequence[Sequence[int]]) -> Latency:
    """Summarize the steady samples of several fresh processes.

    Args:
        processes_ns: For each process its samples in nanoseconds, in order; none empty.
    """
    medians = sorted(median(samples) / 1e3 for samples in processes_ns)
    pooled = sorted(sample for samples in processes_ns for sample in samples)
    return Latency(
        median_us=median(medians),
        interval_us=(medians[0], medians[-1]),
        confidence=1 - 2 * 0.5 ** len(medians) if len(medians) > 1 else 0.0,
        process_medians_us=tuple(median(samples) / 1e3 for samples in processes_ns),
        samples=len(pooled),
        fastest_us=pooled[0] / 1e3,
        slowest_us=pooled[-1] / 1e3,
        percentiles_us={
            percent: _percentile_us(pooled, percent) if len(pooled) >= least else None
            for percent, least in PERCENTILE_SAMPLES.items()
        },
    )


def drift(samples_ns: Sequence[int]) -> float:
    """Return the largest over the smallest median of three successive windows of one process."""
    size = len(samples_ns) // STEADY_WINDOWS
    if size == 0:
        return 1.0
    windows = [median(samples_ns[k * size : (k + 1) * size]) for k in range(STEADY_WINDOWS)]
    return max(windows) / max(1, min(windows))


def _percentile_us(ordered_ns: Sequence[int], percent: int) -> float:
    """Nearest rank: the smallest sample with at least `percent` of all at or below it."""
    rank = -(-percent * len(ordered_ns) // 100)
    return ordered_ns[max(0, rank - 1)] / 1e3
