"""How a ratio that should be 1 is told."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from toolkit.judge.statistics import median_interval


def told(ratios: Sequence[float], tolerance: float) -> str:
    """The median of ratios with its 95 % interval, and whether it is within a tolerance of 1.

    Args:
        ratios: One of each round.
        tolerance: A share.

    Returns:
        Such as `1.012 (0.991 to 1.021), met`; an interval that is partly outside settles nothing.
    """
    low, high, _ = median_interval(ratios)
    if high < 1 - tolerance or low > 1 + tolerance:
        met = "NOT met"
    elif low >= 1 - tolerance and high <= 1 + tolerance:
        met = "met"
    else:
        met = "not settled"
    return f"{median(ratios):.3f} ({low:.3f} to {high:.3f}), {met}"
