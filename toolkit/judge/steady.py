"""Whether a process had settled when it was timed. Pure.

Two tests, of the samples of one process in their order:
    The medians of three successive windows agree within 10 % (perf_analyzer's rule).
    The medians of twelve windows show no trend of more than 10 % over the loop (Theil and Sen),
    unless chance explains it (Mann and Kendall): an even drift of 12 % is one of 8 % between the
    first and the last of three windows, and the first test passes it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from toolkit.judge.trend import fit_trend

Samples = npt.NDArray[np.float64]

WINDOWS = 3
STEADY_RATIO = 1.10

TREND_WINDOWS = 12
#: Fewest samples of each of the twelve windows: a median of fewer is a single sample.
LEAST_WINDOW_SAMPLES = 3


def unsteadiness(samples_ns: Sequence[int]) -> float:
    """Return by how much one process moves: 0 when it is steady, else a share such as 0.3.

    Args:
        samples_ns: Samples of one process in nanoseconds, in their order.
    """
    samples = np.asarray(samples_ns, np.float64)
    is_long = len(samples) >= TREND_WINDOWS * LEAST_WINDOW_SAMPLES
    if is_long:
        samples = samples[: len(samples) // TREND_WINDOWS * TREND_WINDOWS]
        medians = _window_medians(samples, TREND_WINDOWS)
        if _ratio(medians) <= STEADY_RATIO:
            # A trend cannot be larger than the spread, and the median of four windows lies between
            # their medians.
            return 0.0
    thirds = _window_medians(samples, WINDOWS)
    spread = _ratio(thirds) if len(thirds) else 1.0
    if spread > STEADY_RATIO:
        return spread - 1
    if not is_long:
        return 0.0
    drift = fit_trend(list(range(TREND_WINDOWS)), medians)
    if drift is None or not drift.is_seen:
        return 0.0
    change = abs(drift.slope) * (TREND_WINDOWS - 1) / max(1.0, drift.start)
    return change if change > STEADY_RATIO - 1 else 0.0


def _window_medians(samples: Samples, windows: int) -> list[float]:
    size = len(samples) // windows
    parts = samples[: size * windows].reshape(windows, size)
    return [float(value) for value in np.median(parts, axis=1)] if size else []


def _ratio(medians: Sequence[float]) -> float:
    return max(medians) / max(1.0, min(medians))
