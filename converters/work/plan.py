"""What a conversion would do, as data; needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PlannedStep:
    """A step that would be done."""

    kind: str
    """As in the recipe."""
    values: Mapping[str, Any]
    """Every field, defaults included."""
    seconds: float
    """About how long it takes, at most where its epochs are left open; post-training quantization
    is done while the file is written, and takes none of its own."""


@dataclass(frozen=True)
class Plan:
    """A conversion that would be done."""

    recipe: str
    """Its name."""
    steps: tuple[PlannedStep, ...]
    """In order."""
    samples: Mapping[str, int]
    """By use, how many there are."""
    seconds: float
    """About how long everything takes but the reading of the data."""
    memory_bytes: int
    """About how much the conversion's process takes at its peak."""

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Plan:
        """The plan whose `dataclasses.asdict` this is."""
        return cls(**{**plain, "steps": tuple(PlannedStep(**step) for step in plain["steps"])})
