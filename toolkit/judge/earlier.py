"""Figures of an earlier result, as a comparison takes them. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.judge.statistics import Latency
from toolkit.judge.verdict import Verdict


@dataclass(frozen=True)
class EarlierResult:
    """One setting of a model on a board, measured some time ago."""

    number: int
    """Number of the result in its project."""
    model: str
    """Path of the model, as it was given."""
    target: str
    place: str
    """Name of the board, or "this computer"."""
    runtime: str
    """Kernel class in words."""
    threads: int
    mode: str
    """`soak`, or the requests a second of `--rate`, as "30 Hz"; "" for runs back to back."""
    latency: Latency
    """Latency of `invoke` alone, computed again from the samples."""
    verdict: Verdict
    """Verdict of the time when it was taken."""
