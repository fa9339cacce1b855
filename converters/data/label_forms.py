"""Forms of class labels: numbers, one-hot, shares of each class, and names. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.errors import ConversionError

Array = npt.NDArray[Any]

#: Largest difference from 1 of the sum of the shares of a sample.
_SUM_TOLERANCE = 1e-3
_NAMED = 8


def are_names(array: Array) -> bool:
    """Whether labels of any shape and type are texts."""
    return array.dtype.kind in "US" or (
        array.dtype == object and array.size > 0 and all(isinstance(x, str) for x in array.flat)
    )


def number_names(
    path: Path, arrays: Mapping[str, Array], classes: int, output: str = ""
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Number class names in their alphabetical order.

    Args:
        path: Origin of the arrays, for messages.
        arrays: Name to array; labels y_train and y_test of shape (n,) or (n, 1) may be texts.
        classes: Number of classes of the model.
        output: Name of one of several outputs; "" for a single one.

    Returns:
        The arrays, with int64 class numbers of shape (n,) in the place of texts; and the names in
        the order of their numbers, empty where no labels are texts.

    Raises:
        ConversionError: There are more or fewer names than classes, or only one split has names.
    """
    labels = [
        name
        for name in (f"y_{split}.{output}".rstrip(".") for split in ("train", "test"))
        if name in arrays
    ]
    texts = {name: _as_texts(arrays[name]) for name in labels if are_names(arrays[name])}
    if not texts:
        return dict(arrays), ()
    numbers = [name for name in labels if name not in texts]
    if numbers:
        raise ConversionError(
            f"{path}: {next(iter(texts))} has class names, {numbers[0]} has numbers",
            "Give names in both, or numbers in both.",
        )
    names = sorted({str(text) for array in texts.values() for text in array})
    if len(names) != classes:
        first_names = ", ".join(map(repr, names[:_NAMED])) + (" …" if len(names) > _NAMED else "")
        raise ConversionError(
            f"{path}: the labels have {len(names)} names ({first_names}), the model tells apart "
            f"{classes} classes",
            "Give labels of every class, or class numbers from 0 as in training.",
        )
    places = {name: number for number, name in enumerate(names)}
    numbered = {
        name: np.array([places[str(text)] for text in array], np.int64)
        for name, array in texts.items()
    }
    return {**arrays, **numbered}, tuple(names)


def _as_texts(array: Array) -> Array:
    texts = np.char.decode(array, "utf-8") if array.dtype.kind == "S" else array.astype(str)
    return texts.reshape(len(texts)) if texts.ndim == 2 and texts.shape[1] == 1 else texts


def soft_labels(array: Array, classes: int) -> npt.NDArray[np.float32] | None:
    """Shares of each class, such as smoothed labels or the answers of a teacher.

    Args:
        array: Labels, shape (n, classes); also (n,) or (n, 1) where there are two classes: the
            share of class 1.
        classes: Number of classes.

    Returns:
        float32, shape (n, classes), rows that add up to 1; None where each sample has one class
        alone, or the numbers are no shares.
    """
    if array.dtype.kind != "f" or not np.isfinite(array).all():
        return None
    if classes == 2 and (array.ndim == 1 or array.ndim == 2 and array.shape[1] == 1):
        first = array.reshape(-1)
        array = np.stack([1 - first, first], axis=1)
    if array.ndim != 2 or array.shape[1] != classes or np.isin(array, (0.0, 1.0)).all():
        return None
    sums = array.sum(axis=1)
    if (array < 0).any() or (np.abs(sums - 1) > _SUM_TOLERANCE).any():
        return None
    shares: npt.NDArray[np.float32] = (array / sums[:, None]).astype(np.float32)
    return shares


def classes_of_one_hot(path: Path, name: str, array: Array) -> Array:
    """Class numbers of one-hot labels.

    Args:
        path: Origin of the array, for messages.
        name: Name of the array, for messages.
        array: Labels, shape (n, classes).

    Returns:
        int64, shape (n,).

    Raises:
        ConversionError: A row has no single 1.
    """
    is_one_hot = (array.sum(axis=1) == 1) & (array.max(axis=1) == 1)
    if not is_one_hot.all():
        raise ConversionError(
            f"{path}: {name} is not one-hot at sample {np.flatnonzero(~is_one_hot)[0]}: a row must "
            "have a single 1, or shares of the classes that add up to 1",
            "Give one class number for each sample, or shares in every row.",
        )
    labels: Array = array.argmax(axis=1)
    return labels
