"""Which samples are used for what; every choice is decided by the labels and a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]

#: Of data that comes without a split, this share is held out.
TEST_FRACTION = 0.2
#: Of the training samples, this share validates: it chooses, but nothing learns from it.
VALIDATION_FRACTION = 0.1
#: Of the training samples, at most this share calibrates.
CALIBRATION_FRACTION = 0.5
#: So many are enough for an accuracy: its interval is 1.4 points wide at most.
MAX_JUDGED = 5_000


@dataclass(frozen=True)
class Partition:
    """The training samples, divided by what they are used for; rows in ascending order."""

    train: Rows
    """What learns."""
    validation: Rows
    """What chooses."""
    calibration: Rows
    """What measures ranges; none of the others."""
    judged: Rows
    """Some of `train`, to judge the accuracy on what was learned. They are the same for all recipes
    that calibrate on up to 500 samples, so that recipes can be compared."""


def partition(labels: Labels, calibration_samples: int, seed: int) -> Partition:
    """Divide the training samples, so that no sample is used for two things.

    Args:
        labels: Of all training samples, int64, shape (n,).
        calibration_samples: How many the recipe measures ranges on; 0 for none.
        seed: Decides which.
    """
    rest, validation = held_out_split(labels, seed + 1, VALIDATION_FRACTION)
    most = int(len(labels) * CALIBRATION_FRACTION)
    # The same order for every recipe: one that takes fewer takes the first of them.
    reserved = balanced_choice(labels[rest], min(max(500, calibration_samples), most), seed)
    taken = balanced_choice(labels[rest], min(calibration_samples, most), seed)
    free = np.setdiff1d(np.arange(len(rest)), reserved)
    random = np.random.default_rng(seed)
    judged = np.sort(random.permutation(free)[:MAX_JUDGED])
    return Partition(
        train=np.setdiff1d(rest, rest[taken]),
        validation=validation,
        calibration=rest[taken],
        judged=rest[judged],
    )


def held_out_split(labels: Labels, seed: int, fraction: float = TEST_FRACTION) -> tuple[Rows, Rows]:
    """Divide samples into training and test ones, each class in the same proportion.

    Args:
        labels: int64, shape (n,).
        seed: Decides which.
        fraction: How many are held out, 0-1.

    Returns:
        Rows of the training samples and of the test samples, ascending. Of each class with at least
        two samples at least one is held out, and at least one is not.
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
    """Choose samples so that every class is there, as evenly as its number allows.

    Args:
        labels: int64, shape (n,).
        count: How many; all are taken if there are no more.
        seed: Decides which.

    Returns:
        Ascending rows, shape (min(count, n),).
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(labels))
    # Of each sample how many of its class come before it in the drawn order: taking the lowest
    # ranks first takes one of every class, then a second one of every class, and so on.
    rank = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        rows = order[labels[order] == label]
        rank[rows] = np.arange(len(rows))
    chosen = order[np.argsort(rank[order], kind="stable")][:count]
    return np.sort(chosen).astype(np.int64)
