"""The return value of a user's function as a dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.array_data import dataset_from_arrays
from converters.data.dataset import TEST, TRAIN, Dataset, InputForm
from converters.data.label_forms import are_names
from converters.data.several_data import is_data_array
from converters.data.torch_data import is_torch_data, torch_arrays
from converters.data.user_function import UserFunction
from converters.errors import ConversionError

Array = npt.NDArray[Any]

_EXPECTED = (
    "Return {'x_train': …, 'y_train': …, 'x_test': …, 'y_test': …} of arrays, {'train': …, "
    "'test': …} of datasets of PyTorch or tf.data or (x, y) pairs, or ((x_train, y_train), "
    "(x_test, y_test)); of several inputs or outputs x or y is a dict by their names; without "
    "labels x stands alone."
)
#: Source: tf.data.INFINITE_CARDINALITY.
_ENDLESS = -1


def open_module(function: UserFunction, path: Path, form: InputForm) -> Dataset:
    """Call a function and make a dataset of its return value.

    Args:
        function: Function without arguments; `_EXPECTED` describes its return value.
        path: Function in the form of a path, for messages.
        form: Shapes that the model takes and gives, and the wishes of the recipe.

    Raises:
        ConversionError: There is no such function, it raises, or its return value does not fit.
    """
    with function.inside_folder():  # a tf.data dataset reads its files when it is gone through
        arrays = _arrays(function, function.call(), form)
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return replace(dataset_from_arrays(path, arrays, form), content_sha256=digest.hexdigest())


def _arrays(function: UserFunction, returned: Any, form: InputForm) -> dict[str, Array]:
    if isinstance(returned, Mapping) and any(map(is_data_array, map(str, returned))):
        unknown = [str(name) for name in returned if not is_data_array(str(name))]
        if unknown:
            raise _refusal(function, f"a dict with {unknown[0]!r}")
        values = {name: value for name, value in returned.items() if value is not None}
        return _merge(_name_arrays(function, name, value) for name, value in values.items())
    if isinstance(returned, (tuple, list)) and len(returned) == 2:
        returned = dict(zip((TRAIN, TEST), returned, strict=True))
    if not isinstance(returned, Mapping) or set(returned) != {TRAIN, TEST}:
        raise _refusal(function, _describe(returned))
    parts = (_split_arrays(function, split, value, form) for split, value in returned.items())
    return _merge(parts)


def _split_arrays(
    function: UserFunction, split: str, value: Any, form: InputForm
) -> dict[str, Array]:
    if hasattr(value, "element_spec"):
        return _dataset_arrays(function, split, value, form)
    if is_torch_data(value):
        return torch_arrays(function, split, value)
    if isinstance(value, (tuple, list)) and len(value) == 2:
        x, y = value
        answers = {} if y is None else _name_arrays(function, f"y_{split}", y)
        return {**_name_arrays(function, f"x_{split}", x), **answers}
    if isinstance(value, (np.ndarray, Mapping)):
        return _name_arrays(function, f"x_{split}", value)
    raise _refusal(function, f"as {split} {_describe(value)}")


def _dataset_arrays(
    function: UserFunction, split: str, dataset: Any, form: InputForm
) -> dict[str, Array]:
    if int(dataset.cardinality()) == _ENDLESS:
        raise ConversionError(
            f"{function}: the dataset {split} is endless", "Leave out repeat(), or use take(n)"
        )
    arrays: dict[str, list[Array]] = {}
    try:
        for element in dataset.as_numpy_iterator():
            pair = element if isinstance(element, tuple) else (element,)
            if len(pair) not in (1, 2):
                raise _refusal(function, f"as {split} a dataset of {len(pair)} parts")
            batched = _is_batched(pair[0], form)
            for side, value in zip("xy", pair, strict=False):
                for name, array in _name_arrays(function, f"{side}_{split}", value).items():
                    arrays.setdefault(name, []).append(array if batched else array[None])
    except ConversionError:
        raise
    except Exception as error:  # The user's own map functions may raise anything.
        raise ConversionError(
            f"{function}: the dataset {split} fails: {error}", "Correct the dataset."
        ) from error
    if not arrays:
        raise ConversionError(f"{function}: the dataset {split} is empty", "Give samples.")
    try:
        return {name: np.concatenate(batches) for name, batches in arrays.items()}
    except ValueError as error:
        raise ConversionError(
            f"{function}: the elements of the dataset {split} do not fit together: {error}",
            "Give elements of one shape.",
        ) from error


def _is_batched(x: Any, form: InputForm) -> bool:
    """Whether an element of a dataset is a batch of samples, not a single sample."""
    if isinstance(x, Mapping):
        name = next((name for name in form.inputs if name in x), None)
        return name is not None and np.ndim(x[name]) == len(form.inputs[name]) + 1
    return np.ndim(x) == len(form.shape) + 1


def _name_arrays(function: UserFunction, name: str, value: Any) -> dict[str, Array]:
    """Array by `name`; the arrays of a dict by `name`, a dot and their keys."""
    if isinstance(value, Mapping):
        return {f"{name}.{key}": _array(function, f"{name}.{key}", v) for key, v in value.items()}
    return {name: _array(function, name, value)}


def _merge(parts: Iterable[dict[str, Array]]) -> dict[str, Array]:
    return {name: array for arrays in parts for name, array in arrays.items()}


def _array(function: UserFunction, name: str, value: Any) -> Array:
    try:
        array = np.asarray(value.detach().cpu() if hasattr(value, "detach") else value)
    except Exception as error:  # An object's own conversion to an array may raise anything.
        raise _refusal(function, f"as {name} {_describe(value)}") from error
    if are_names(array):
        return array.astype(str)
    if array.dtype == object:
        raise ConversionError(
            f"{function}: {name} is an array of objects: rows of different lengths?", _EXPECTED
        )
    return array


def _describe(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a dict with {', '.join(map(repr, list(value)[:6])) or 'nothing'}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"a {type(value).__name__}"


def _refusal(function: UserFunction, what: str) -> ConversionError:
    return ConversionError(f"{function}: returned {what}", _EXPECTED)
