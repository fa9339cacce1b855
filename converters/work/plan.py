"""What a conversion would do, as data; needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class PlannedStep:
    """A step that would be done.

    Attributes:
        kind: As in the recipe.
        values: Every field, defaults included.
        seconds: About how long it takes, at most where its epochs are left open; post-training
            quantization is done while the file is written, and takes none of its own.
    """

    kind: str
    values: Mapping[str, Any]
    seconds: float


@dataclass(frozen=True)
class Plan:
    """A conversion that would be done.

    Attributes:
        recipe: Its name.
        steps: In order.
        samples: By use, how many there are.
        seconds: About how long everything takes but the reading of the data.
        memory_bytes: About how much the conversion's process takes at its peak.
    """

    recipe: str
    steps: tuple[PlannedStep, ...]
    samples: Mapping[str, int]
    seconds: float
    memory_bytes: int

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Plan:
        """The plan whose `dataclasses.asdict` this is."""
        return cls(**{**plain, "steps": tuple(PlannedStep(**step) for step in plain["steps"])})
