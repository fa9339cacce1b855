"""How far a conversion is, as data: printing it is the command line's business."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

#: Stage of a line that a function of the user printed; `detail` is the line.
PRINTED = "printed"


@dataclass(frozen=True)
class Progress:
    """One report of a stage that is under way."""

    stage: str
    """Stage that is under way: "load model", "read data", "train", "convert", "evaluate"."""
    done: int
    """Units done so far (samples, batches), from 0."""
    total: int
    """Units in all; 0 where it is not known."""
    detail: str = ""
    """Another figure of interest, such as the loss; may be empty."""
    validation_accuracy: float | None = None
    """Accuracy on the validation samples, 0-1, in the report at the end of an epoch; None in all
    other reports, and where nothing is judged after an epoch."""


Report = Callable[[Progress], None]


def ignore(_: Progress) -> None:
    """Report to nobody."""
