"""Which samples are used for what; every choice is decided by the labels and a seed."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]

#: Of data that comes without a split, this share is held out.
TEST_FRACTION = 0.2


def held_out_split(labels: Labels, seed: int) -> tuple[Rows, Rows]:
    """Divide samples into training and test ones, each class in the same proportion.

    Args:
        labels: int64, shape (n,).
        seed: Decides which.

    Returns:
        Rows of the training samples and of the test samples, ascending. Of each class with at least
        two samples at least one is held out, and at least one is not.
    """
    random = np.random.default_rng(seed)
    test: list[Rows] = []
    for label in np.unique(labels):
        rows = random.permutation(np.flatnonzero(labels == label))
        count = min(max(1, round(len(rows) * TEST_FRACTION)), len(rows) - 1)
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
