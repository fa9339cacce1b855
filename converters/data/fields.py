"""Several arrays as one, with a field for each name: the inputs or the answers of one model.

Samples of several inputs are so indexed, split and joined as those of a single one are; names are
looked at only where numbers go into a model or come out of it. What is of a single input or output
stays a plain array, and its name is "".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def joined(arrays: Mapping[str, Array]) -> Array:
    """One array of all of them.

    Args:
        arrays: Name to an array of shape (n, ...).

    Returns:
        Shape (n,), a field for each name, in their order.
    """
    dtype = np.dtype([(name, array.dtype, array.shape[1:]) for name, array in arrays.items()])
    rows = np.empty(len(next(iter(arrays.values()))), dtype)
    for name, array in arrays.items():
        rows[name] = array
    return rows


def gathered(answers: Any, names: Sequence[str]) -> Array:
    """What a Keras model gave, as one array.

    Args:
        answers: A tensor; of several outputs a list of them, or a dict whose order is that of its
            sorted keys.
        names: Of the outputs, in the model's order; empty for a single one.
    """
    if not names:
        return np.asarray(answers)
    if isinstance(answers, Mapping):
        answers = [answers[key] for key in sorted(answers)]
    return joined({name: np.asarray(one) for name, one in zip(names, answers, strict=True)})


def fed(batch: Array, names: Sequence[str] = ()) -> Any:
    """What a Keras model is fed: the array, or a list of several.

    Args:
        batch: An array, or one with fields.
        names: Of the model's inputs in its order; where they are not given it is that of the
            fields, which are in the order of the model that is converted.
    """
    if batch.dtype.names is None:
        return batch
    return [np.ascontiguousarray(batch[name]) for name in names or batch.dtype.names]


def part(value: Any, name: str) -> Any:
    """Of what there is for each name that of one; all of it for the name ""."""
    return value[name] if name else value


def as_floats(array: Array) -> Array:
    """The same numbers as float32."""
    if array.dtype.names is None:
        return array.astype(np.float32)
    return joined({name: array[name].astype(np.float32) for name in array.dtype.names})


def are_finite(array: Array) -> bool:
    """Whether no number is NaN or infinite."""
    return all(bool(np.isfinite(one).all()) for one in _each(array))


def are_alike(array: Array) -> bool:
    """Whether all rows are the same."""
    return all(bool((one == one[:1]).all()) for one in _each(array))


def numbers_of(array: Array) -> int:
    """How many numbers a row has."""
    return sum(one[:1].size for one in _each(array))


def listed(names: Iterable[str]) -> str:
    """Names for a message."""
    return ", ".join(map(repr, names)) or "none"


def _each(array: Array) -> list[Array]:
    return [array] if array.dtype.names is None else [array[name] for name in array.dtype.names]
