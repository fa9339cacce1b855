"""How well a classifier did on samples whose right answers are known. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import numpy as np

from converters.data.split import Labels

_Z_95 = 1.959964

#: Subjects that are judged: the original model, and the file.
ORIGINAL = "original"
FILE = "file"


@dataclass(frozen=True)
class Accuracy:
    """How many of the samples were classified rightly."""

    correct: int
    """Number of samples that were classified rightly."""
    samples: int
    """Number of samples."""

    @property
    def fraction(self) -> float:
        """Share of right ones, 0-1."""
        return self.correct / self.samples


@dataclass(frozen=True)
class Score:
    """One classifier on one split."""

    subject: str
    """`ORIGINAL`, the model that was given, or `FILE`, the .tflite that was written."""
    split: str
    """"train", "validation" or "test"."""
    samples: int
    """Number of samples."""
    correct: int
    """Number of samples that were classified rightly."""
    interval: tuple[float, float]
    """95 % interval of the accuracy, 0-1."""
    precision: float
    """Mean over the classes, 0-1."""
    recall: float
    """Mean over the classes, 0-1."""
    f1: float
    """Mean over the classes, 0-1."""
    output: str = ""
    """Name of the output, of several; "" for a single one."""

    @property
    def accuracy(self) -> float:
        """Share of right ones, 0-1."""
        return self.correct / self.samples


def score(subject: str, split: str, answers: Labels, labels: Labels) -> Score:
    """Compute the figures of a classifier.

    Precision, recall and F1 are means over the classes that occur in the labels or the answers, a
    class of which nothing was found counting as 0 (as scikit-learn does with `average="macro"`).

    Args:
        subject: `ORIGINAL` or `FILE`.
        split: Name of the samples.
        answers: Class that the model chose for each sample, int64, shape (n,).
        labels: Right class of each sample, int64, shape (n,).
    """
    classes = np.union1d(answers, labels)
    hits = np.array([((answers == c) & (labels == c)).sum() for c in classes], float)
    picked = np.array([(answers == c).sum() for c in classes], float)
    present = np.array([(labels == c).sum() for c in classes], float)
    correct = int(hits.sum())
    return Score(
        subject=subject,
        split=split,
        samples=len(labels),
        correct=correct,
        interval=wilson(correct, len(labels)),
        precision=float(np.mean(hits / np.maximum(picked, 1))),
        recall=float(np.mean(hits / np.maximum(present, 1))),
        f1=float(np.mean(2 * hits / (picked + present))),
    )


def wilson(correct: int, samples: int) -> tuple[float, float]:
    """Return the 95 % interval of a share.

    Source: Wilson (1927), the score interval; it stays within 0-1 and is right for few samples.

    Args:
        correct: From 0.
        samples: From 1.
    """
    share, square = correct / samples, _Z_95**2
    middle = (share + square / (2 * samples)) / (1 + square / samples)
    half = (
        _Z_95
        * sqrt(share * (1 - share) / samples + square / (4 * samples**2))
        / (1 + square / samples)
    )
    # At either end of the scale the bound is that end, which rounding could miss.
    return (
        0.0 if correct == 0 else max(0.0, middle - half),
        1.0 if correct == samples else min(1.0, middle + half),
    )
