"""The use of each sample; labels and a seed decide every choice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]

#: Share of the samples that is held out where the data comes without a split.
TEST_FRACTION = 0.2
#: Share of the training samples that validates: it decides choices, and no model learns from it.
VALIDATION_FRACTION = 0.1
#: Largest share of the training samples that calibrates.
CALIBRATION_FRACTION = 0.5
#: Samples that are enough for an accuracy: its interval is then at most 1.4 points wide.
MAX_JUDGED = 5_000


@dataclass(frozen=True)
class Partition:
    """The training samples, divided by use; rows int64, shape (k,), ascending."""

    train: Rows
    """Rows that the model learns from."""
    validation: Rows
    """Rows that decide choices."""
    calibration: Rows
    """Rows that ranges are measured on; in none of the other fields."""
    judged: Rows
    """Part of `train`, on which the accuracy on learned samples is judged. All recipes that
    calibrate on up to 500 samples have the same rows, so that recipes can be compared."""


def partition(labels: Labels, calibration_samples: int, seed: int) -> Partition:
    """Divide the training samples into those that train, validate and calibrate.

    Args:
        labels: Labels of all training samples, int64, shape (n,).
        calibration_samples: Number of samples that the recipe measures ranges on; 0 for none.
        seed: Seed that decides the choice.
    """
    rest, validation = held_out_split(labels, seed + 1, VALIDATION_FRACTION)
    most = int(len(labels) * CALIBRATION_FRACTION)
    # Every recipe has one order: the samples of a smaller number come first in a larger one.
    reserved = balanced_choice(labels[rest], min(max(500, calibration_samples), most), seed)
    calibration = balanced_choice(labels[rest], min(calibration_samples, most), seed)
    free = np.setdiff1d(np.arange(len(rest)), reserved)
    random = np.random.default_rng(seed)
    judged = np.sort(random.permutation(free)[:MAX_JUDGED])
    return Partition(
        train=np.setdiff1d(rest, rest[calibration]),
        validation=validation,
        calibration=rest[calibration],
        judged=rest[judged],
    )


def held_out_split(labels: Labels, seed: int, fraction: float = TEST_FRACTION) -> tuple[Rows, Rows]:
    """Divide samples into training and test ones, each class in the same proportion.

    Args:
        labels: int64, shape (n,).
        seed: Seed that decides the choice.
        fraction: Share of the samples that is held out, 0-1.

    Returns:
        Rows of the training samples and of the test samples, int64, ascending. If a class has at
        least two samples, at least one is held out, and at least one is not.
    """
    random = np.random.default_rng(seed)
    test: list[Rows] = []
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        count = min(max(1, round(len(rows) * fraction)), len(rows) - 1)
        test.append(rows[:count])
    test_rows = np.sort(np.concatenate(test)) if test else np.empty(0, np.int64)
    train_rows = np.setdiff1d(np.arange(len(labels)), test_rows)
    return train_rows.astype(np.int64), test_rows.astype(np.int64)


def balanced_choice(labels: Labels, count: int, seed: int) -> Rows:
    """Choose samples of every class, as evenly as the sizes of the classes allow.

    Args:
        labels: int64, shape (n,).
        count: Number of samples; all n if n is smaller.
        seed: Seed that decides the choice.

    Returns:
        Rows, int64, shape (min(count, n),), ascending.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(labels))
    # The rank of a sample is the number of samples of its class before it in the random order.
    # The lowest ranks come first: one sample of every class, then a second one, and so on.
    rank = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        rank[rows] = np.arange(len(rows))
    lowest = order[np.argsort(rank[order], kind="stable")][:count]
    return np.sort(lowest).astype(np.int64)
