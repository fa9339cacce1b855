"""How many samples lie far from the others. Pure; none is ever dropped.

Tukey's fences (Exploratory Data Analysis, 1977; as criterion uses them): beyond 1.5 interquartile
ranges from the quartiles is mild, beyond 3 is severe. The fences are those of the sample's own
process, so that a process which is slower as a whole is not taken for outliers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

MILD_RANGES = 1.5
SEVERE_RANGES = 3.0


@dataclass(frozen=True)
class Outliers:
    """Samples beyond the fences, each counted once."""

    low_severe: int
    low_mild: int
    high_mild: int
    high_severe: int

    @property
    def count(self) -> int:
        """Number of all outliers."""
        return self.low_severe + self.low_mild + self.high_mild + self.high_severe


def count_outliers(processes: Iterable[np.ndarray[Any, np.dtype[np.float64]]]) -> Outliers:
    """Count the samples beyond the fences of their process.

    Args:
        processes: Samples of each process, `(samples,)`, ascending, in any unit; none empty.
    """
    low_severe = low_mild = high_mild = high_severe = 0
    for samples in processes:
        first, third = _quantile(samples, 0.25), _quantile(samples, 0.75)
        mild, severe = MILD_RANGES * (third - first), SEVERE_RANGES * (third - first)
        very_low, low = np.searchsorted(samples, (first - severe, first - mild), "left")
        high, very_high = np.searchsorted(samples, (third + mild, third + severe), "right")
        low_severe += int(very_low)
        low_mild += int(low - very_low)
        high_mild += int(very_high - high)
        high_severe += int(len(samples) - very_high)
    return Outliers(low_severe, low_mild, high_mild, high_severe)


def _quantile(ordered: np.ndarray[Any, np.dtype[np.float64]], share: float) -> float:
    """Return a quantile of ascending values as `np.quantile` does, which would sort them again."""
    place = share * (len(ordered) - 1)
    lower = int(place)
    upper = min(lower + 1, len(ordered) - 1)
    return float(np.quantile(ordered[[lower, upper]], place - lower))
