"""Whether a figure grows or falls with time. Pure.

The slope is Theil and Sen's: the median of the slopes of all pairs of points, which a third of wild
points do not move. Mann and Kendall's test decides whether there is a trend at all; it takes
nothing but the order of the values. NumPy alone, as SciPy takes half a second to import.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import factorial
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

#: A trend is taken as seen below this probability of as much order by chance; strict, because
#: neighbouring readings are not independent, which makes chance look rarer than it is.
SIGNIFICANCE = 0.01

CONFIDENCE = 0.95

#: Fewer points order themselves by chance: 5 of 5 in order have p = 0.017, 6 of 6 have 0.003.
LEAST_POINTS = 6

#: Most points whose orders are counted one by one; of more the score is about normal (Kendall,
#: 1970).
_MOST_EXACT = 33


@dataclass(frozen=True)
class Trend:
    """How a figure changes with time."""

    slope: float
    """Change of the figure, in its own unit, for each unit of time."""
    interval: tuple[float, float]
    """Bounds that enclose the slope with 95 % confidence (Sen, 1968), if the points are
    independent."""
    chance: float
    """Probability (0-1) of as much order without any trend: Kendall's tau, two-sided."""
    start: float
    """The fitted value at the first point."""

    @property
    def is_seen(self) -> bool:
        """Whether there is a trend, however small: by the test, and by the interval."""
        low, high = self.interval
        return self.chance < SIGNIFICANCE and (low > 0 or high < 0)


def fit_trend(times: Sequence[float], values: Sequence[float]) -> Trend | None:
    """Fit a trend; `None` with fewer than `LEAST_POINTS` points.

    Args:
        times: Times of the points, ascending.
        values: Figure at each of these times.
    """
    if len(values) < LEAST_POINTS:
        return None
    at, figures = np.asarray(times, np.float64), np.asarray(values, np.float64)
    first, second = np.triu_indices(len(at), 1)
    spans, changes = at[second] - at[first], figures[second] - figures[first]
    slopes = np.sort(changes[spans > 0] / spans[spans > 0])
    if not len(slopes):  # all points at one time
        return None
    slope = float(np.median(slopes))
    start = float(np.median(figures)) + slope * float(at[0] - np.median(at))
    chance = _chance(float((np.sign(spans) * np.sign(changes)).sum()), at, figures)
    return Trend(slope, _interval(slopes, at, figures), chance, start)


def _interval(slopes: Array, times: Array, values: Array) -> tuple[float, float]:
    """Sen's interval: so far from the middle slope, in ranks, as the score may lie from zero."""
    reach = NormalDist().inv_cdf((1 + CONFIDENCE) / 2) * _variance(times, values) ** 0.5
    count = len(slopes)
    low = max(round((count - reach) / 2) - 1, 0)
    high = min(round((count + reach) / 2), count - 1)
    return float(slopes[low]), float(slopes[high])


def _chance(score: float, times: Array, values: Array) -> float:
    """Probability of a score so far from zero by chance.

    Args:
        score: Pairs in order minus pairs in reverse order.
        times: Times of the points, shape (n,).
        values: Figure at each of these times, shape (n,).
    """
    count = len(values)
    has_ties = len(np.unique(times)) < count or len(np.unique(values)) < count
    if not has_ties and count <= _MOST_EXACT:
        return _exact_chance(count, abs(score))
    variance = _variance(times, values)
    if variance <= 0:  # all values equal: there is no order at all
        return 1.0
    return 2 * NormalDist().cdf(-abs(score) / variance**0.5)


def _exact_chance(count: int, score: float) -> float:
    """Share of all orders of so many points whose score is at least so far from zero."""
    orders = [1]  # number of orders by their number of reversed pairs
    for points in range(2, count + 1):
        longer = [0] * (len(orders) + points - 1)
        for reversed_pairs, number in enumerate(orders):
            for more in range(points):
                longer[reversed_pairs + more] += number
        orders = longer
    most_reversed = int(count * (count - 1) // 2 - score) // 2
    return min(1.0, 2 * sum(orders[: most_reversed + 1]) / factorial(count))


def _variance(times: Array, values: Array) -> float:
    """Variance of the score without a trend, corrected for equal times and equal values."""
    count = len(values)
    ties = [np.unique(points, return_counts=True)[1] for points in (times, values)]
    total = count * (count - 1) * (2 * count + 5)
    total -= sum(int((tie * (tie - 1) * (2 * tie + 5)).sum()) for tie in ties)
    pairs, triples = (
        [int((tie * (tie - 1)).sum()) for tie in ties],
        [int((tie * (tie - 1) * (tie - 2)).sum()) for tie in ties],
    )
    return (
        total / 18
        + triples[0] * triples[1] / (9 * count * (count - 1) * (count - 2))
        + pairs[0] * pairs[1] / (2 * count * (count - 1))
    )
