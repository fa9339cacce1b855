"""What the sampler of a search improves."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Objective:
    """A value of each trial, and which way is better."""

    name: str
    """Name, such as "accuracy"."""
    is_maximized: bool
    """Whether larger is better."""
    worst: float
    """Value that stands for a trial without a result."""
