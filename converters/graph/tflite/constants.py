"""Constants of a file, and operators that compute with nothing but constants. NumPy only.

Converters leave the computation of shapes in the file: SHAPE, STRIDED_SLICE, PACK before a RESHAPE.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.tflite.unpacked import UnpackedModel

Array = npt.NDArray[Any]

#: Most numbers in a constant that is computed; a damaged file asks for any number.
_MOST_NUMBERS = 1 << 24
#: Types of stored constants.
_DTYPES = {
    "float32": "<f4",
    "float64": "<f8",
    "int32": "<i4",
    "int64": "<i8",
    "bool": "?",
    "uint8": "u1",
    "int8": "i1",
    "int16": "<i2",
}


def stored_constant(model: UnpackedModel, tensor: int) -> Array | None:
    """Values that the file stores for a tensor, in its shape; None where it stores none.

    Raises:
        ValueError: There are more or fewer values than the shape says, or they are no numbers.
    """
    if not model.is_stored(tensor):
        return None
    spec, data = model.spec(tensor), model.model.buffers[model.tensors[tensor].buffer].data
    if spec.dtype not in _DTYPES:
        raise ValueError(f"constants of the type {spec.dtype} are not known")
    return np.frombuffer(bytes(data), _DTYPES[spec.dtype]).reshape(spec.shape)


def slices_of(options: Any, arrays: Sequence[Array], rank: int) -> tuple[list[Any], list[Any]]:
    """Slices of a STRIDED_SLICE, one for each axis, and those of a tensor of new axes.

    Args:
        options: Options of the operator.
        arrays: Begin, end and step of each axis, int32, shape (axes,).
        rank: Number of axes of the tensor.

    Returns:
        Slices of the tensor, and the keys by which NumPy gets the answer from the sliced tensor:
        0 for an axis that is left out, None for a new one.
    """
    begin, end, step = (array.reshape(-1).tolist() for array in arrays)
    axes = len(begin) - bin(options.newAxisMask & ((1 << len(begin)) - 1)).count("1")
    slices: list[Any] = []
    keys: list[Any] = []
    has_ellipsis = False
    for place, (start, stop, stride) in enumerate(zip(begin, end, step, strict=True)):
        bit = 1 << place
        if options.ellipsisMask & bit:
            missing = rank - (axes - 1)
            slices += [slice(None)] * missing
            keys += [slice(None)] * missing
            has_ellipsis = True
        elif options.newAxisMask & bit:
            keys.append(None)
        elif options.shrinkAxisMask & bit:
            slices.append(slice(start, start + 1 or None))
            keys.append(0)
        else:
            first = None if options.beginMask & bit else start
            slices.append(slice(first, None if options.endMask & bit else stop, stride))
            keys.append(slice(None))
    if not has_ellipsis:
        slices += [slice(None)] * (rank - len(slices))
    return slices, keys


def fold_constants(op: str, options: Any, arrays: Sequence[Array]) -> Array | None:
    """Compute an operator of constants.

    Args:
        op: Name of the builtin.
        options: Its options in the schema, or None.
        arrays: Its inputs, of any shape and type.

    Returns:
        The answer, of the shape and type that the op gives; None for an op that is not known here.

    Raises:
        ValueError, IndexError, TypeError: The constants do not fit the op.
    """
    compute = _FOLDS.get(op)
    if compute is None:
        return None
    with np.errstate(all="ignore"):
        return np.asarray(compute(options, *arrays))


def _strided_slice(options: Any, x: Array, *arrays: Array) -> Array:
    slices, keys = slices_of(options, arrays, x.ndim)
    answer: Array = x[tuple(slices)][tuple(keys)]
    return answer


def _slice(_: Any, x: Array, begin: Array, size: Array) -> Array:
    ends = [None if s < 0 else b + s for b, s in zip(begin.tolist(), size.tolist(), strict=True)]
    return x[tuple(map(slice, begin.tolist(), ends))]


def _filled(shape: Array, value: Array) -> Array:
    if prod(shape.tolist()) > _MOST_NUMBERS:
        raise ValueError(f"a constant of the shape {shape.tolist()} is too large")
    return np.broadcast_to(value, shape.tolist())


def _range(_: Any, start: Array, limit: Array, step: Array) -> Array:
    if abs((limit - start) / step) > _MOST_NUMBERS:
        raise ValueError("a constant range is too long")
    return np.arange(start.item(), limit.item(), step.item(), start.dtype)


def _squeeze(options: Any, x: Array) -> Array:
    axes = [] if options.squeezeDims is None else [int(axis) for axis in options.squeezeDims]
    return np.squeeze(x, tuple(axes) or None)


def _cast(options: Any, x: Array) -> Array:
    names = {0: "float32", 2: "int32", 4: "int64", 6: "bool"}
    return x.astype(names[options.outDataType])


def _divide(_: Any, x: Array, y: Array) -> Array:
    return x // y if x.dtype.kind == "i" else x / y


def _two(function: Callable[[Array, Array], Any]) -> Callable[..., Any]:
    return lambda _, x, y: function(x, y)


#: Name of an op to the function of its options and its inputs.
_FOLDS: dict[str, Callable[..., Any]] = {
    "STRIDED_SLICE": _strided_slice,
    "SLICE": _slice,
    "PACK": lambda options, *arrays: np.stack(arrays, options.axis),
    "CONCATENATION": lambda options, *arrays: np.concatenate(arrays, options.axis),
    "GATHER": lambda options, x, places: np.take(x, places, options.axis),
    "RESHAPE": lambda _, x, *shape: x.reshape(shape[0].tolist()) if shape else None,
    "EXPAND_DIMS": lambda _, x, axis: np.expand_dims(x, int(axis.reshape(-1)[0])),
    "SQUEEZE": _squeeze,
    "TRANSPOSE": lambda _, x, axes: np.transpose(x, axes.tolist()),
    "CAST": _cast,
    "FILL": lambda _, shape, value: _filled(shape, value),
    "BROADCAST_TO": lambda _, x, shape: _filled(shape, x),
    "BROADCAST_ARGS": lambda _, x, y: np.broadcast_shapes(tuple(x), tuple(y)),
    "RANGE": _range,
    "REDUCE_PROD": lambda options, x, axes: np.prod(
        x, tuple(axes.reshape(-1).tolist()), keepdims=options.keepDims
    ),
    "ADD": _two(np.add),
    "SUB": _two(np.subtract),
    "MUL": _two(np.multiply),
    "DIV": _divide,
    "FLOOR_DIV": _divide,
    "MAXIMUM": _two(np.maximum),
    "MINIMUM": _two(np.minimum),
    "LESS": _two(np.less),
    "GREATER_EQUAL": _two(np.greater_equal),
    "EQUAL": _two(np.equal),
    "NEG": lambda _, x: -x,
    "RSQRT": lambda _, x: 1 / np.sqrt(x),
    "SELECT_V2": lambda _, mask, x, y: np.where(mask, x, y),
    "SELECT": lambda _, mask, x, y: np.where(mask, x, y),
}
