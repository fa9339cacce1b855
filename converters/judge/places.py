"""How well masks agree: share of right pixels, and mean intersection over union. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.pixel_labels import classes_of_places

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


class PlaceCounts:
    """Counts of right and wrong places of each sample."""

    def __init__(self, wanted: Array, answers: Array, threshold: float) -> None:
        """Count.

        Args:
            wanted: One-hot masks, shape (n, ..., classes); places without any class count nowhere.
            answers: Scores, shape (n, ..., classes).
            threshold: Score above which a single score means class 1.
        """
        several = wanted.shape[-1] > 1
        flat = wanted.reshape(len(wanted), -1, wanted.shape[-1])
        counted = flat.sum(axis=-1) > 0 if several else np.ones(flat.shape[:2], bool)
        right = classes_of_places(wanted, 0.5)
        chosen = classes_of_places(answers, threshold)
        numbers = range(max(2, wanted.shape[-1]))
        hits = [(right == c) & (chosen == c) & counted for c in numbers]
        either = [((right == c) | (chosen == c)) & counted for c in numbers]
        self._hits: Floats = np.stack([one.sum(axis=1) for one in hits], axis=1).astype(float)
        self._either: Floats = np.stack([one.sum(axis=1) for one in either], axis=1).astype(float)
        self._counted: Floats = counted.sum(axis=1).astype(float)

    def accuracy_of_each(self) -> Floats:
        """Share of right places of each sample, float64, shape (n,)."""
        shares: Floats = self._hits.sum(axis=1) / np.maximum(self._counted, 1)
        return shares

    def mean_iou(self, rows: slice | npt.NDArray[np.int64]) -> float:
        """Mean over the classes of intersection over union, on some samples.

        Args:
            rows: A slice, or row numbers, int64, shape (rows,). Classes that occur neither in the
                masks nor in the answers are left out.
        """
        hits, either = self._hits[rows].sum(axis=0), self._either[rows].sum(axis=0)
        present = either > 0
        return float((hits[present] / either[present]).mean()) if present.any() else 1.0
