"""Whether a figure grows or falls with time. Pure.

The slope is Theil and Sen's: the median of the slopes of all pairs of points, which a third of wild
points do not move. Mann and Kendall's test decides whether there is a trend at all; it takes
nothing but the order of the values. SciPy is imported only here, and only when it is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

#: A trend is taken as seen below this probability of as much order by chance; strict, because
#: neighbouring readings are not independent, which makes chance look rarer than it is.
SIGNIFICANCE = 0.01

CONFIDENCE = 0.95

#: Fewer points order themselves by chance: 5 of 5 in order have p = 0.017, 6 of 6 have 0.003.
LEAST_POINTS = 6


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
    from scipy import stats  # over half a second to import: only who asks for a trend waits

    fit = stats.theilslopes(values, times, CONFIDENCE)
    chance = float(stats.kendalltau(times, values).pvalue)
    return Trend(
        slope=float(fit.slope),
        interval=(float(fit.low_slope), float(fit.high_slope)),
        chance=chance if chance == chance else 1.0,  # all values equal: there is no order at all
        start=float(fit.intercept + fit.slope * times[0]),
    )
