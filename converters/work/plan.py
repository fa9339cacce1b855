"""The steps of a conversion that would be done, as data; needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PlannedStep:
    """A step that would be done."""

    kind: str
    """Kind of the step, as the recipe writes it."""
    values: Mapping[str, Any]
    """Name of each field of the step to its value, defaults included."""
    seconds: float
    """Estimate of its time, seconds; an upper bound where the epochs are left open. 0 for
    post-training quantization, which happens while the file is written."""


@dataclass(frozen=True)
class Plan:
    """A conversion that would be done."""

    recipe: str
    """Name of the recipe."""
    steps: tuple[PlannedStep, ...]
    """Steps, in order."""
    samples: Mapping[str, int]
    """Use of samples to their number."""
    seconds: float
    """Estimate of the whole time without the reading of the samples."""
    memory_bytes: int
    """Estimate of the peak memory of the conversion's process."""
    startup_seconds: float = 0.0
    """Part of `seconds` that several recipes need once: TensorFlow and the model are loaded."""
    refused: str = ""
    """Reason why the recipe does not take the model or the data, and what to do; "" where it
    does."""

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Plan:
        """Return the plan whose `dataclasses.asdict` is `plain`."""
        return cls(**{**plain, "steps": tuple(PlannedStep(**step) for step in plain["steps"])})
