"""Whether a conversion keeps within the accuracy that it may lose. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from converters.judge.paired import Drop


@dataclass(frozen=True)
class Budget:
    """An accuracy budget, and whether it was kept."""

    max_drop: float
    """Accuracy that may be lost, 0-1; of another metric the share of the model's figure."""
    split: str
    """The samples it was judged on."""
    held: bool
    """Whether the file lost no more than that on these samples."""
    reasons: tuple[str, ...]
    """One sentence each; also where it is held, but the samples leave room for doubt."""


@dataclass(frozen=True)
class Attempt:
    """One recipe that was tried to keep a budget."""

    recipe: str
    """Its name."""
    steps: tuple[Mapping[str, Any], ...]
    """The steps with every value used, in order."""
    drops: tuple[float | None, ...]
    """Accuracy lost up to the end of each step, on the validation samples; None where only the file
    can tell."""
    drop: Drop | None
    """Drop of the file, on the validation samples; None where there is no file."""
    held: bool
    """Whether that is no more than is allowed."""
    refused: str = ""
    """Why there is no file; "" where there is one."""


def judge_budget(drop: Drop, max_drop: float) -> Budget:
    """Compare a drop with the budget.

    The drop itself decides. Its interval decides nothing, but is always reported: with few samples
    a budget that is held says little.

    Args:
        drop: Drop from the model to the file, paired.
        max_drop: Accuracy that may be lost, 0-1.
    """
    low, high = drop.interval
    of_output = f"of its outputs {drop.output!r} loses most: " if drop.output else ""
    report = (
        f"{of_output}on the {drop.samples} {drop.split} samples {_in_words(drop)} (95 % interval "
        f"{low:+.2%} to {high:+.2%}), {max_drop:.2%} is allowed"
    )
    if drop.fraction > max_drop:
        chance = "; so few samples may be chance" if low <= max_drop else ""
        return Budget(max_drop, drop.split, False, (report + chance,))
    if high > max_drop:
        return Budget(
            max_drop, drop.split, True, (f"{report}; more samples are needed to be sure of it",)
        )
    return Budget(max_drop, drop.split, True, ())


def _in_words(drop: Drop) -> str:
    if drop.before is None or drop.after is None:
        lost = "1 was" if drop.lost == 1 else f"{drop.lost} were"
        return f"{lost} lost and {drop.won} won: a drop of {drop.fraction:.2%}"
    return (
        f"{drop.metric} went from {drop.before:.4g} to {drop.after:.4g}: worse by "
        f"{drop.fraction:.2%} of it"
    )
