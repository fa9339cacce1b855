"""Masks: a class for each pixel, or for each step of a series. Pure."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.errors import ConversionError

Array = npt.NDArray[Any]

#: Class number of pixels that count nowhere, as in PASCAL VOC and Cityscapes.
IGNORED = 255
#: Number of masks that are looked at to find out what labels are.
_LOOKED_AT = 64


def are_masks(array: Array, outputs: tuple[int, ...]) -> bool:
    """Whether labels give each place of an answer one class.

    Args:
        array: Labels, shape (n, ...).
        outputs: Shape of one answer, its classes last; (height, width, 1) for two classes.
    """
    if len(outputs) < 2 or array.dtype.kind not in "biuf" or not len(array):
        return False
    some = array[:_LOOKED_AT]
    if _are_one_hot(some, outputs):
        return True
    return _are_numbers(some, outputs) and bool((some == np.floor(some)).all())


def _are_numbers(array: Array, outputs: tuple[int, ...]) -> bool:
    """Whether the shape is that of class numbers; floats count only as 0 and 1 of two classes."""
    has_shape = array.shape[1:] in (outputs[:-1], (*outputs[:-1], 1))
    return has_shape and (array.dtype.kind != "f" or bool(np.isin(array, (0.0, 1.0)).all()))


def _are_one_hot(array: Array, outputs: tuple[int, ...]) -> bool:
    if outputs[-1] < 2 or array.shape[1:] != outputs:
        return False
    return bool(np.isin(array, (0, 1)).all() and (array.sum(axis=-1) == 1).all())


def mask_targets(
    path: Path, name: str, array: Array, outputs: tuple[int, ...]
) -> npt.NDArray[np.uint8]:
    """Check masks and make them one-hot.

    Args:
        path: File or function, for messages.
        name: Name of the array, for messages.
        array: Class numbers, shape (n, *outputs[:-1]) or with a last axis of 1, `IGNORED` for
            pixels that count nowhere; or one-hot, shape (n, *outputs).
        outputs: Shape of one answer, its classes last; (height, width, 1) for two classes.

    Returns:
        uint8, shape (n, *outputs): 1 for the class of each place; of two classes with one number,
        the class itself.

    Raises:
        ConversionError: The array has another shape, or a number is no class.
    """
    classes = max(2, outputs[-1])
    if array.dtype.kind in "biuf" and _are_one_hot(array, outputs):
        return array.astype(np.uint8)
    if array.dtype.kind not in "biuf" or array.shape[1:] not in (outputs[:-1], (*outputs[:-1], 1)):
        raise ConversionError(
            f"{path}: {name} has the shape {array.shape} and the type {array.dtype}, expected a "
            f"class number for each place, (n, {', '.join(map(str, outputs[:-1]))}), or one-hot "
            f"(n, {', '.join(map(str, outputs))})",
            "Give masks of the size of the model's answers.",
        )
    numbers = array.reshape(len(array), *outputs[:-1])
    ignored = (numbers == IGNORED) & (outputs[-1] > 1)
    is_class = (numbers >= 0) & (numbers < classes) & (numbers == np.floor(numbers))
    wrong = np.argwhere(~is_class & ~ignored)
    if len(wrong):
        raise ConversionError(
            f"{path}: {name} has the class {numbers[tuple(wrong[0])]} in sample {wrong[0][0]}, the "
            f"model tells apart {classes} classes: whole numbers from 0 to {classes - 1}",
            f"Number the classes from 0; {IGNORED} stands for pixels that count nowhere."
            if outputs[-1] > 1
            else "Give 0 and 1.",
        )
    if outputs[-1] == 1:
        return numbers[..., None].astype(np.uint8)
    targets: npt.NDArray[np.uint8] = (numbers[..., None] == np.arange(classes)).astype(np.uint8)
    return targets


def classes_of_places(scores: Array, threshold: float) -> npt.NDArray[np.int64]:
    """Class of each place.

    Args:
        scores: Scores or one-hot masks of any real type, shape (n, ..., classes).
        threshold: Number above which a single score means class 1.

    Returns:
        int64, shape (n, places).
    """
    places = prod(scores.shape[1:-1])
    rows = scores.reshape(len(scores), places, scores.shape[-1])
    if scores.shape[-1] == 1:
        return (rows[..., 0] > threshold).astype(np.int64)
    classes: npt.NDArray[np.int64] = rows.argmax(axis=-1).astype(np.int64)
    return classes
