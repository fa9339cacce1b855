"""One timed process on a board, as it was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from device_agent.contract.conditions import Conditions
from device_agent.contract.measurement import ProcessRun


@dataclass(frozen=True)
class BoardRun:
    """One process of a benchmark, with the conditions of the board before, during and after it."""

    run: ProcessRun
    samples_ns: Sequence[int]
    """Times of `invoke` alone."""
    conditions: tuple[Conditions, ...]
    end_to_end_ns: Sequence[int] = ()
    """Times of whole inferences: quantize, set, invoke, get, dequantize."""
    series: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """Further series of the run, by name; see `ProcessRun.series`."""
