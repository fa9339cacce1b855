"""What a function of the user's own returns, as a dataset."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.array_data import dataset_of
from converters.data.dataset import TEST, TRAIN, Dataset, InputForm
from converters.data.several_data import is_ours
from converters.data.user_function import UserFunction
from converters.errors import ConversionError

Array = npt.NDArray[Any]

_EXPECTED = (
    "return {'x_train': …, 'y_train': …, 'x_test': …, 'y_test': …} of arrays, {'train': …, "
    "'test': …} of tf.data datasets or (x, y) pairs, or ((x_train, y_train), (x_test, y_test)); of "
    "several inputs or outputs x or y is a dict by their names; without labels x stands alone"
)
#: Source: tf.data.INFINITE_CARDINALITY.
_ENDLESS = -1


def open_module(function: UserFunction, path: Path, form: InputForm) -> Dataset:
    """Call a function and look at what it returned.

    Args:
        function: Takes nothing; returns what `_EXPECTED` says.
        path: The function in the form of a path, for messages.
        form: What the model takes.

    Raises:
        ConversionError: There is no such function, it raises, or it returns something else.
    """
    arrays = _arrays(function, function.call(), form)
    digest = hashlib.sha256()
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}\0".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return replace(dataset_of(path, arrays, form), content_sha256=digest.hexdigest())


def _arrays(function: UserFunction, returned: Any, form: InputForm) -> dict[str, Array]:
    if isinstance(returned, Mapping) and any(map(is_ours, map(str, returned))):
        unknown = [str(name) for name in returned if not is_ours(str(name))]
        if unknown:
            raise _refusal(function, f"a dict with {unknown[0]!r}")
        given = {name: value for name, value in returned.items() if value is not None}
        return _joined(_named(function, name, value) for name, value in given.items())
    if isinstance(returned, (tuple, list)) and len(returned) == 2:
        returned = dict(zip((TRAIN, TEST), returned, strict=True))
    if not isinstance(returned, Mapping) or set(returned) != {TRAIN, TEST}:
        raise _refusal(function, _told(returned))
    arrays: dict[str, Array] = {}
    for split, value in returned.items():
        if hasattr(value, "element_spec"):
            arrays |= _of_dataset(function, split, value, form)
        elif isinstance(value, (tuple, list)) and len(value) == 2:
            x, y = value
            arrays |= _named(function, f"x_{split}", x)
            if y is not None:
                arrays |= _named(function, f"y_{split}", y)
        elif isinstance(value, (np.ndarray, Mapping)):
            arrays |= _named(function, f"x_{split}", value)
        else:
            raise _refusal(function, f"as {split} {_told(value)}")
    return arrays


def _of_dataset(
    function: UserFunction, split: str, dataset: Any, form: InputForm
) -> dict[str, Array]:
    if int(dataset.cardinality()) == _ENDLESS:
        raise ConversionError(
            f"{function}: the dataset {split} is endless", "leave out repeat(), or use take(n)"
        )
    found: dict[str, list[Array]] = {}
    try:
        for element in dataset.as_numpy_iterator():
            pair = element if isinstance(element, tuple) else (element,)
            if len(pair) not in (1, 2):
                raise _refusal(function, f"as {split} a dataset of {len(pair)} parts")
            batched = _is_batched(pair[0], form)
            for side, value in zip("xy", pair, strict=False):
                for name, array in _named(function, f"{side}_{split}", value).items():
                    found.setdefault(name, []).append(array if batched else array[None])
    except ConversionError:
        raise
    except Exception as error:  # whatever the user's own map functions raise
        raise ConversionError(
            f"{function}: the dataset {split} fails: {error}", "correct the dataset"
        ) from error
    if not found:
        raise ConversionError(f"{function}: the dataset {split} is empty", "give samples")
    try:
        return {name: np.concatenate(arrays) for name, arrays in found.items()}
    except ValueError as error:
        raise ConversionError(
            f"{function}: the elements of the dataset {split} do not fit together: {error}",
            "give elements of one shape",
        ) from error


def _is_batched(x: Any, form: InputForm) -> bool:
    """Whether an element of a dataset is many samples."""
    if isinstance(x, Mapping):
        name = next((name for name in form.inputs if name in x), None)
        return name is not None and np.ndim(x[name]) == len(form.inputs[name]) + 1
    return np.ndim(x) == len(form.shape) + 1


def _named(function: UserFunction, name: str, value: Any) -> dict[str, Array]:
    """An array under its name; each of a dict under its own, behind a dot."""
    if isinstance(value, Mapping):
        return {f"{name}.{key}": _array(function, f"{name}.{key}", v) for key, v in value.items()}
    return {name: _array(function, name, value)}


def _joined(named: Iterable[dict[str, Array]]) -> dict[str, Array]:
    return {name: array for arrays in named for name, array in arrays.items()}


def _array(function: UserFunction, name: str, value: Any) -> Array:
    try:
        array = np.asarray(value)
    except Exception as error:  # what has its own way to an array may raise anything
        raise _refusal(function, f"as {name} {_told(value)}") from error
    if array.dtype == object:
        raise ConversionError(
            f"{function}: {name} is an array of objects: rows of different lengths?", _EXPECTED
        )
    return array


def _told(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a dict with {', '.join(map(repr, list(value)[:6])) or 'nothing'}"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return "None" if value is None else f"a {type(value).__name__}"


def _refusal(function: UserFunction, what: str) -> ConversionError:
    return ConversionError(f"{function}: returned {what}", _EXPECTED)
