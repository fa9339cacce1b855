"""Signal to quantization noise ratio, in decibels: 6 dB are one bit."""

from __future__ import annotations

import math

#: Largest ratio that is reported: the numbers are then practically equal.
MOST_DB = 120.0
_LEAST_POWER = 1e-30


def decibels(power: float, noise: float) -> float:
    """Signal to quantization noise ratio: 10 log10(power / noise), in decibels.

    Args:
        power: Sum of the squares of the exact numbers.
        noise: Sum of the squares of the differences from them.

    Returns:
        Ratio from -`MOST_DB` to `MOST_DB`; -`MOST_DB` where a sum is not finite.
    """
    if not (math.isfinite(power) and math.isfinite(noise)):
        return -MOST_DB
    if noise <= power * 10 ** (-MOST_DB / 10):
        return MOST_DB
    return max(-MOST_DB, 10 * math.log10(max(power, _LEAST_POWER) / noise))
