"""Two models on the same samples: what may be said about the difference. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, isnan, sqrt

import numpy as np
import numpy.typing as npt

from converters.data.task import ACCURACY

Right = npt.NDArray[np.bool_]

_Z_95 = 1.959964


@dataclass(frozen=True)
class Drop:
    """How much accuracy a file lost against the model it was made from, on the same samples.

    Of another metric than accuracy it is a share of the model's own figure: 0.05 of a mean error
    says that the error grew by 5 %.
    """

    split: str
    """Name of the samples: "validation" or "test"."""
    samples: int
    """Number of samples."""
    lost: int
    """Samples that the model had right and the file has wrong; of another metric those on which the
    file does worse."""
    won: int
    """Samples that the model has wrong and the file has right; of another metric those on which the
    file does better."""
    interval: tuple[float, float]
    """95 % interval of the drop, paired."""
    metric: str = ACCURACY
    """Name of the metric that dropped."""
    before: float | None = None
    """The model's figure; None for accuracy."""
    after: float | None = None
    """The file's figure; None for accuracy."""
    higher_is_better: bool = True
    """Whether a higher value of the metric is better."""
    output: str = ""
    """Name of the output, of several; "" for a single one."""

    @property
    def fraction(self) -> float:
        """Accuracy of the model minus that of the file, 0-1; negative where the file is better.

        Of another metric the share of the model's figure that is lost.
        """
        if self.before is None or self.after is None:
            return (self.lost - self.won) / self.samples
        worse = self.before - self.after if self.higher_is_better else self.after - self.before
        if isnan(worse):  # the file's answers are no numbers: nothing is left of the figure
            return inf
        return worse / max(abs(self.before), 1e-12)


def worst(drops: Iterable[Drop], split: str = "") -> Drop:
    """Return the drop of the output that loses most; of a single output its own.

    Args:
        drops: At least one.
        split: Only those on these samples; "" for all.
    """
    return max((d for d in drops if split in ("", d.split)), key=lambda drop: drop.fraction)


def drop_between(split: str, model_right: Right, file_right: Right) -> Drop:
    """Compare a file with its model.

    Args:
        split: Name of the samples.
        model_right: Whether the model was right on each, shape (n,).
        file_right: Whether the file was, shape (n,).
    """
    low, high = paired_interval(model_right, file_right)
    return Drop(
        split=split,
        samples=len(model_right),
        lost=int(np.sum(model_right & ~file_right)),
        won=int(np.sum(~model_right & file_right)),
        interval=(-high, -low),
    )


def paired_interval(first_right: Right, second_right: Right) -> tuple[float, float]:
    """Return the 95 % interval of the second accuracy minus the first, on the same samples.

    Source: Bonett and Price (2012), adjusted Wald interval for paired proportions: one is added to
    each kind of disagreement and two to the samples.

    Args:
        first_right: Whether the first was right on each sample, shape (n,).
        second_right: Whether the second was right on each sample, shape (n,).
    """
    size = len(first_right) + 2
    lost = (int(np.sum(first_right & ~second_right)) + 1) / size
    won = (int(np.sum(~first_right & second_right)) + 1) / size
    middle = won - lost
    half = _Z_95 * sqrt((won + lost - middle**2) / size)
    return middle - half, middle + half
