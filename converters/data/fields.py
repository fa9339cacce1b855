"""Arrays of several inputs or outputs as one array, with a field for each name.

Samples of several inputs can then be indexed, split and joined like those of one input. Names
matter only where numbers go into a model or come out of it. The array of a single input or output
stays a plain array, and its name is "".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def join_fields(arrays: Mapping[str, Array]) -> Array:
    """Join several arrays into one structured array.

    Args:
        arrays: Name to an array of shape (n, ...), of any dtype; at least one. All have the same n.

    Returns:
        Shape (n,), with a field for each name, in the order of `arrays`. A field has the dtype of
        its array, and the array's shape without n.
    """
    dtype = np.dtype([(name, array.dtype, array.shape[1:]) for name, array in arrays.items()])
    rows = np.empty(len(next(iter(arrays.values()))), dtype)
    for name, array in arrays.items():
        rows[name] = array
    return rows


def from_keras_outputs(answers: Any, names: Sequence[str]) -> Array:
    """Turn the output of a Keras model into one array.

    Args:
        answers: Tensor of shape (n, ...). A model of several outputs gives a list of them in the
            model's order, or a dict; the order of a dict is that of its sorted keys.
        names: Names of the outputs, in the model's order; empty for a single output.

    Returns:
        Array of the tensor's shape and dtype; for several outputs shape (n,), a field for each.
    """
    if not names:
        return np.asarray(answers)
    if isinstance(answers, Mapping):
        answers = [answers[key] for key in sorted(answers)]
    return join_fields(
        {name: np.asarray(answer) for name, answer in zip(names, answers, strict=True)}
    )


def to_keras_inputs(batch: Array, names: Sequence[str] = ()) -> Any:
    """Turn one array into the form that a Keras model takes.

    Args:
        batch: Shape (n, ...); for several inputs shape (n,), with a field for each.
        names: Names of the model's inputs, in its order. Empty: the order of the fields, which is
            the order of the model that is converted.

    Returns:
        `batch` itself if it has no fields; else a list of contiguous arrays, one an input, each of
        shape (n, ...) and the dtype of its field.
    """
    if batch.dtype.names is None:
        return batch
    return [np.ascontiguousarray(batch[name]) for name in names or batch.dtype.names]


def select_field(value: Any, name: str) -> Any:
    """Select the value of one input or output.

    Args:
        value: Array with fields, or a mapping by name; anything where there is a single one.
        name: Name of the input or output; "" for a single one.

    Returns:
        `value[name]`; all of `value` for the name "".
    """
    return value[name] if name else value


def to_input_dtypes(array: Array, dtypes: Mapping[str, str]) -> Array:
    """Convert numbers to the types that the inputs of a model take; the shape stays.

    Args:
        array: Shape (n, ...); for several inputs shape (n,), a field for each.
        dtypes: Name of each input of whole numbers, "" for a single input, to its type. All other
            inputs take float32.
    """
    if array.dtype.names is None:
        return array.astype(dtypes.get("", "float32"))
    return join_fields(
        {name: array[name].astype(dtypes.get(name, "float32")) for name in array.dtype.names}
    )


def are_finite(array: Array) -> bool:
    """Whether an array (n, ...), with or without fields, has neither NaN nor infinity."""
    return all(bool(np.isfinite(field).all()) for field in _field_arrays(array))


def are_rows_equal(array: Array) -> bool:
    """Whether all rows of an array (n, ...), with or without fields, are equal."""
    return all(bool((field == field[:1]).all()) for field in _field_arrays(array))


def numbers_per_row(array: Array) -> int:
    """Count the numbers in one row of an array (n, ...), with or without fields."""
    return sum(field[:1].size for field in _field_arrays(array))


def quote_names(names: Iterable[str]) -> str:
    """Names in quotation marks, with commas, for a message; "none" where there are none."""
    return ", ".join(map(repr, names)) or "none"


def _field_arrays(array: Array) -> list[Array]:
    return [array] if array.dtype.names is None else [array[name] for name in array.dtype.names]
