"""Brings samples from the layout of a source, such as channels first, to the graph's. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import TEST, TRAIN, InputForm
from converters.errors import ConversionError

Array = npt.NDArray[Any]


def from_source_layout(batch: Array, axes: Sequence[int]) -> Array:
    """Bring a batch to the layout of the graph.

    Args:
        batch: Any type, shape (n, *shape in the source).
        axes: Axes of the source without the batch axis, in the order of the graph; empty where both
            have one order.

    Returns:
        A view, shape (n, *shape in the graph).
    """
    return batch.transpose(0, *(axis + 1 for axis in axes)) if axes else batch


def to_source_layout(batch: Array, axes: Sequence[int]) -> Array:
    """Bring a batch to the layout of the source.

    Args:
        batch: Any type, shape (n, *shape in the graph).
        axes: Axes of the source without the batch axis, in the order of the graph; empty where both
            have one order.

    Returns:
        A view, shape (n, *shape in the source).
    """
    return batch.transpose(0, *(place + 1 for place in np.argsort(axes))) if axes else batch


def shape_in_source(shape: Sequence[int], axes: Sequence[int]) -> tuple[int, ...]:
    """Shape of a sample in the layout of the source.

    Args:
        shape: Shape in the layout of the graph, without the batch axis.
        axes: Axes of the source without the batch axis, in the order of the graph; empty where both
            have one order.
    """
    return tuple(shape[place] for place in np.argsort(axes)) if axes else tuple(shape)


def arrange_arrays(path: Path, arrays: Mapping[str, Array], form: InputForm) -> dict[str, Array]:
    """Bring the arrays of a data set from the layout of the source to that of the graph.

    Args:
        path: Origin of the arrays, for messages.
        arrays: Arrays by name, the samples first; inputs in the layout of the source. Answers that
            are maps as well; class numbers have no channels, and stay.
        form: Form of the model's data.

    Raises:
        ConversionError: An input does not have the shape of the source.
    """
    arranged = dict(arrays)
    for split in (TRAIN, TEST):
        for name, axes in form.axes.items():
            key = f"x_{split}.{name}" if name else f"x_{split}"
            if key in arranged:
                shape = shape_in_source(form.inputs[name] if name else form.shape, axes)
                check_input_shape(path, key, arranged[key].shape, shape)
                arranged[key] = from_source_layout(arranged[key], axes)
        for name, axes in form.answer_axes.items():
            key = f"y_{split}.{name}" if name else f"y_{split}"
            if key in arranged and arranged[key].ndim == len(axes) + 1:
                arranged[key] = from_source_layout(arranged[key], axes)
    return arranged


def check_input_shape(
    path: Path, name: str, array_shape: tuple[int, ...], shape: tuple[int, ...]
) -> None:
    """Refuse samples of another shape than the model takes.

    Args:
        path: Origin of the arrays, for messages.
        name: Name of the array.
        array_shape: Its shape, the samples first.
        shape: Shape of one sample that the model takes.

    Raises:
        ConversionError: The shapes differ.
    """
    if array_shape[1:] == shape and array_shape:
        return
    raise ConversionError(
        f"{path}: {name} has the shape {array_shape}, the model takes (n, "
        f"{', '.join(map(str, shape))})",
        _shape_hint(name, array_shape[1:], shape),
    )


def _shape_hint(name: str, sample: tuple[int, ...], shape: tuple[int, ...]) -> str:
    """Say how samples of another shape come to the shape that the model takes."""
    if (*sample, 1) == shape:
        return f"Add the channel axis: {name}[..., np.newaxis]"
    count = len(sample)
    last_first, first_last = (count - 1, *range(count - 1)), (*range(1, count), 0)
    for order in (last_first, first_last) if count > 1 else ():
        if tuple(sample[axis] for axis in order) == shape:
            axes = ", ".join(str(axis + 1) for axis in order)
            return f"Its axes are in another order: {name}.transpose(0, {axes})"
    return "Shape the samples as the model takes them."
