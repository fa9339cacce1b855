"""What boards without a failure prove about the others. Pure.

Of n boards taken at random none failed: then fewer than about 3/n of all boards fail, with 95 %
confidence. The exact bound is 1 - 0.05 ** (1 / n).
"""

from __future__ import annotations

from math import ceil, expm1, log, log1p

#: Probability with which the failure rate lies below the bound.
RATE_CONFIDENCE = 0.95

_LOG_DOUBT = log(1 - RATE_CONFIDENCE)


def failure_rate_bound(clean: int) -> float:
    """Return the share of all boards below which the failing ones lie, 0-1, with 95 % confidence.

    Args:
        clean: Number of boards taken at random, none of which failed; 0 proves nothing.

    Raises:
        ValueError: The number is negative.
    """
    if clean < 0:
        raise ValueError(f"expected 0 boards or more, found {clean}")
    return 1.0 if clean == 0 else -expm1(_LOG_DOUBT / clean)


def boards_for_bound(rate: float) -> int:
    """Return how many boards without a failure prove that fewer than a share of all fail.

    Args:
        rate: Share of all boards, above 0 and below 1.

    Raises:
        ValueError: No number of boards proves it.
    """
    if not 0 < rate < 1:
        raise ValueError(f"expected a share above 0 and below 1, found {rate}")
    boards = max(1, ceil(_LOG_DOUBT / log1p(-rate) - 1e-9))
    return boards if failure_rate_bound(boards) <= rate * (1 + 1e-9) else boards + 1
