"""The longest latency that a search allows, as an option."""

from __future__ import annotations

import re
from typing import Any

import click

_TEXT = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(us|ms|s|x)\Z")
_MICROSECONDS = {"us": 1.0, "ms": 1e3, "s": 1e6}
#: Unit of a multiple of the latency of plain int8.
MULTIPLE = "x"
_LEAST_RATIO, _LARGEST_RATIO, _LONGEST_US = 0.01, 10.0, 60e6


class LatencyBudget(click.ParamType[tuple[float, str]]):
    """A time such as `5ms`, or a multiple of the latency of plain int8 such as `0.8x`."""

    name = "latency"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, str]:
        """Read a budget.

        Returns:
            Microseconds and "us", or a multiple and `MULTIPLE`.
        """
        if isinstance(value, tuple):
            return value
        parts = _TEXT.match(str(value).strip())
        number, unit = (float(parts[1]), parts[2]) if parts else (0.0, "us")
        microseconds = number * _MICROSECONDS.get(unit, 0.0)
        is_multiple = unit == MULTIPLE and _LEAST_RATIO <= number <= _LARGEST_RATIO
        if not is_multiple and not 0 < microseconds <= _LONGEST_US:
            self.fail(
                f"{value!r} is neither a time up to 60 s such as 5ms or 800us, nor a multiple of "
                "the latency of plain int8 from 0.01x to 10x such as 0.8x",
                param,
                ctx,
            )
        return (number, MULTIPLE) if is_multiple else (microseconds, "us")
