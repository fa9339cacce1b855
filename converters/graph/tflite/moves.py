"""Rules of operators that only move numbers."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from converters.graph.builder import Ref
from converters.graph.node import CONCAT, EMBEDDING
from converters.graph.tflite.constants import slices_of
from converters.graph.tflite.operator import MOST_ADDED, Array, FileOperator, Rule, integers
from converters.graph.tflite.value import Shape, Value, graph_shape

#: Most pieces that a tensor is cut into, or copies that are made of it.
_MOST_PIECES = 64


def _reshape(operator: FileOperator) -> Value:
    value = operator.value(0)
    constant = operator.optional(1)
    sizes = integers(np.asarray(operator.options.newShape) if constant is None else constant)
    product = prod(size for size in sizes if size != -1)
    shape = tuple(prod(value.shape) // product if size == -1 else size for size in sizes)
    return _in_shape(operator, value, shape)


def _in_shape(operator: FileOperator, value: Value, shape: Shape) -> Value:
    """The numbers of a tensor in another shape of the file."""
    if min(shape, default=1) < 1 or prod(shape) != prod(value.shape):
        raise ValueError(f"{value.shape} cannot become {shape}")
    ref, new_shape = value.ref, graph_shape(shape)
    if ref.shape == new_shape:
        return Value(ref, shape)
    if len(ref.shape) > 1 and len(new_shape) == 1:
        return Value(operator.add("flatten", (ref,), new_shape), shape)
    return Value(operator.add("reshape", (ref,), new_shape), shape)


def _squeeze(operator: FileOperator) -> Value:
    value = operator.value(0)
    dims = operator.options.squeezeDims
    axes = {int(axis) % len(value.shape) for axis in (() if dims is None else dims)}
    if not axes:
        axes = {axis for axis, size in enumerate(value.shape) if size == 1}
    shape = tuple(size for axis, size in enumerate(value.shape) if axis not in axes)
    return _in_shape(operator, value, shape)


def _expand_dims(operator: FileOperator) -> Value:
    value = operator.value(0)
    (axis,) = integers(operator.constant(1))
    place = axis % (len(value.shape) + 1)
    return _in_shape(operator, value, (*value.shape[:place], 1, *value.shape[place:]))


def _transpose(operator: FileOperator) -> Value:
    value, axes = operator.value(0), integers(operator.constant(1))
    if sorted(axes) != list(range(len(value.shape))):
        raise ValueError(f"the axes {axes} of {value.shape}")
    shape = tuple(value.shape[axis] for axis in axes)
    moved = [axis for axis in axes if value.shape[axis] != 1]
    if moved == sorted(moved):  # only axes of size 1 change their places
        return _in_shape(operator, value, shape)
    if value.has_batch and axes[0] == 0:
        ref, dims = value.ref, axes[1:]
    else:
        ref, dims = operator.whole(value), tuple(axis + 1 for axis in axes)
    node_shape = tuple(ref.shape[dim - 1] for dim in dims)
    return operator.finish(operator.add("permute", (ref,), node_shape, {"dims": dims}), shape)


def _concatenation(operator: FileOperator) -> Value:
    values = [v for v in operator.inputs if isinstance(v, Value)]
    shapes = [np.shape(v) if isinstance(v, np.ndarray) else v.shape for v in _present(operator)]
    axis = operator.option("axis") % len(shapes[0])
    shape = (*shapes[0][:axis], sum(s[axis] for s in shapes), *shapes[0][axis + 1 :])
    if len(values) == len(shapes):
        return operator.finish(_join(operator, values, axis), shape)
    return operator.finish(_beside_constants(operator, axis, shape), shape)


def _present(operator: FileOperator) -> list[Any]:
    present = [value for value in operator.inputs if value is not None]
    if not present:
        raise ValueError("it has no inputs")
    return present


def _join(operator: FileOperator, values: list[Value], axis: int) -> Ref:
    """Tensors one after another along an axis of the file."""
    batched = axis > 0 and all(value.has_batch for value in values)
    refs = [value.ref if batched else operator.whole(value) for value in values]
    place = axis if batched else axis + 1
    size = sum(ref.shape[place - 1] for ref in refs)
    shape = (*refs[0].shape[: place - 1], size, *refs[0].shape[place:])
    if len(refs) == 1:
        return refs[0]
    return operator.add(CONCAT, tuple(refs), shape, {"axis": place})


def _beside_constants(operator: FileOperator, axis: int, shape: Shape) -> Ref:
    """Constants beside the one tensor: zeros are put there, and the constants added."""
    values = [value for value in operator.inputs if isinstance(value, Value)]
    if len(values) != 1:
        raise operator.refusal("it has constants beside several tensors")
    if prod(shape) > MOST_ADDED:
        raise operator.refusal(f"its constants have the shape {shape}")
    numbers, begin, before = np.zeros(shape, np.float32), 0, 0
    for part in _present(operator):
        size = part.shape[axis]
        if isinstance(part, Value):
            before = begin
        else:
            place = [slice(None)] * len(shape)
            place[axis] = slice(begin, begin + size)
            numbers[tuple(place)] = part
        begin += size
    value = values[0]
    side = (before, shape[axis] - before - value.shape[axis])
    first, last = prod(shape[:axis]), prod(shape[axis + 1 :])
    image = operator.reshape(
        operator.builder.floats_of(value.ref), (first, value.shape[axis], last)
    )
    plain = {"padding": ((0, 0), side)}
    name = f"{operator.name}_beside"
    padded = operator.builder.add(name, "zero_pad", (image,), (first, shape[axis], last), plain)
    ref = operator.reshape(padded, graph_shape(shape))
    return operator.builder.add_constant(operator.name, ref, numbers.reshape(ref.shape))


def _cut(operator: FileOperator, value: Value, slices: list[slice]) -> Value:
    """A part of a tensor, by a slice for each axis of the file."""
    ranges = [range(size)[part] for size, part in zip(value.shape, slices, strict=True)]
    shape = tuple(map(len, ranges))
    if min(shape, default=1) < 1:
        raise ValueError(f"nothing is left of {value.shape}")
    if shape == value.shape and all(r.step > 0 for r in ranges):
        return value
    has_batch = value.has_batch
    ref = value.ref if has_batch else operator.whole(value)
    parts = [(part.start, part.stop, part.step) for part in slices]
    keys = ((None, None, None), *(parts[1:] if has_batch else parts))
    node_shape = shape[1:] if has_batch else shape
    return operator.finish(operator.add("slice", (ref,), node_shape, {"slices": keys}), shape)


def _strided_slice(operator: FileOperator) -> Value:
    value = operator.value(0)
    arrays = [operator.constant(place) for place in (1, 2, 3)]
    slices, keys = slices_of(operator.options, arrays, len(value.shape))
    piece = _cut(operator, value, slices)
    # A view of one number tells the shape, however large the tensor is.
    shape = np.broadcast_to(np.zeros(()), piece.shape)[tuple(keys)].shape
    return _in_shape(operator, piece, shape)


def _slice(operator: FileOperator) -> Value:
    value = operator.value(0)
    begins, sizes = integers(operator.constant(1)), integers(operator.constant(2))
    parts = [
        slice(begin, None if size < 0 else begin + size)
        for begin, size in zip(begins, sizes, strict=True)
    ]
    return _cut(operator, value, parts)


def _split(operator: FileOperator) -> tuple[Value, ...]:
    (axis,), value = integers(operator.constant(0)), operator.value(1)
    axis %= len(value.shape)
    count = operator.option("numSplits")
    if count < 1 or value.shape[axis] % count:
        raise ValueError(f"{value.shape} in {count} parts")
    return _pieces(operator, value, axis, [value.shape[axis] // count] * count)


def _split_of_sizes(operator: FileOperator) -> tuple[Value, ...]:
    value, sizes = operator.value(0), list(integers(operator.constant(1)))
    (axis,) = integers(operator.constant(2))
    axis %= len(value.shape)
    rest = value.shape[axis] - sum(size for size in sizes if size >= 0)
    return _pieces(operator, value, axis, [rest if size < 0 else size for size in sizes])


def _pieces(operator: FileOperator, value: Value, axis: int, sizes: list[int]) -> tuple[Value, ...]:
    pieces, begin = [], 0
    for size in sizes:
        parts = [slice(None)] * len(value.shape)
        parts[axis] = slice(begin, begin + size)
        pieces.append(_cut(operator, value, parts))
        begin += size
    return tuple(pieces)


def _pack(operator: FileOperator) -> Value:
    values = [operator.value(place) for place in range(len(operator.inputs))]
    axis = operator.option("axis") % (len(values[0].shape) + 1)
    wide = []
    for value in values:
        shape = (*value.shape[:axis], 1, *value.shape[axis:])
        wide.append(_in_shape(operator, value, shape))
    shape = (*wide[0].shape[:axis], len(wide), *wide[0].shape[axis + 1 :])
    return operator.finish(_join(operator, wide, axis), shape)


def _unpack(operator: FileOperator) -> tuple[Value, ...]:
    value = operator.value(0)
    axis = operator.option("axis") % len(value.shape)
    pieces = _pieces(operator, value, axis, [1] * value.shape[axis])
    shape = (*value.shape[:axis], *value.shape[axis + 1 :])
    return tuple(_in_shape(operator, piece, shape) for piece in pieces)


def _gather(operator: FileOperator) -> Value:
    if isinstance(operator.inputs[1], Value):
        return _embedding(operator, operator.constant(0), operator.value(1))
    value, indices = operator.value(0), operator.constant(1)
    axis = operator.option("axis") % len(value.shape)
    if operator.option("batchDims"):
        raise operator.refusal("it has batch dimensions")
    numbers = [index % value.shape[axis] for index in integers(indices)]
    pieces = [_range_of(operator, value, axis, part) for part in _runs(numbers)]
    if len(pieces) > _MOST_PIECES:
        raise operator.refusal(f"it takes {len(pieces)} separate places")
    shape = (*value.shape[:axis], len(numbers), *value.shape[axis + 1 :])
    whole = Value(operator.reshape(_join(operator, pieces, axis), graph_shape(shape)), shape)
    shape = (*value.shape[:axis], *indices.shape, *value.shape[axis + 1 :])
    return _in_shape(operator, whole, shape)


def _runs(numbers: list[int]) -> list[range]:
    """Numbers as runs of equal steps."""
    runs: list[range] = []
    for number in numbers:
        last = runs[-1] if runs else range(0)
        if len(last) == 1 and number != last[0]:
            step = number - last[0]
            runs[-1] = range(last[0], number + step, step)
        elif len(last) > 1 and number == last[-1] + last.step:
            runs[-1] = range(last.start, number + last.step, last.step)
        else:
            runs.append(range(number, number + 1))
    return runs


def _range_of(operator: FileOperator, value: Value, axis: int, run: range) -> Value:
    parts = [slice(None)] * len(value.shape)
    stop = run.stop if run.stop >= 0 else None
    parts[axis] = slice(run.start, stop, run.step)
    return _cut(operator, value, parts)


def _lookup(operator: FileOperator) -> Value:
    return _embedding(operator, operator.constant(1), operator.value(0))


def _embedding(operator: FileOperator, table: Array, ids: Value) -> Value:
    if table.ndim != 2 or table.dtype.kind != "f":
        raise operator.refusal(f"its table has the shape {table.shape} and type {table.dtype}")
    if getattr(operator.options, "axis", 0) or getattr(operator.options, "batchDims", 0):
        raise operator.refusal("it takes columns of its table")
    weights = operator.builder.add_weights(operator.layer(), table=table)
    node_shape = (*ids.ref.shape, table.shape[1])
    answer = operator.add(EMBEDDING, (ids.ref,), node_shape, weights=weights)
    return operator.finish(answer, (*ids.shape, table.shape[1]))


def _cast(operator: FileOperator) -> Value:
    if operator.dtype == "float32":
        return operator.floats(0)
    if operator.dtype in ("int32", "int64"):  # an embedding takes the whole part of floats
        return operator.value(0)
    raise operator.refusal(f"it converts numbers to the type {operator.dtype}")


def _tile(operator: FileOperator) -> Value:
    value, copies = operator.value(0), integers(operator.constant(1))
    return _repeated(operator, value, list(copies))


def _broadcast_to(operator: FileOperator) -> Value:
    value, shape = operator.value(0), integers(operator.constant(1))
    padded = (1,) * (len(shape) - len(value.shape)) + value.shape
    copies = [new // old for new, old in zip(shape, padded, strict=True)]
    return _repeated(operator, _in_shape(operator, value, padded), copies)


def _repeated(operator: FileOperator, value: Value, copies: list[int]) -> Value:
    if prod(copies) > _MOST_PIECES or min(copies) < 1 or len(copies) != len(value.shape):
        raise operator.refusal(f"it makes {copies} copies of {value.shape}")
    for axis, count in enumerate(copies):
        if count > 1:
            shape = (*value.shape[:axis], count * value.shape[axis], *value.shape[axis + 1 :])
            whole = _join(operator, [value] * count, axis)
            value = Value(operator.reshape(whole, graph_shape(shape)), shape)
    return value


def _reverse(operator: FileOperator) -> Value:
    value, axes = operator.value(0), integers(operator.constant(1))
    parts = [slice(None)] * len(value.shape)
    for axis in axes:
        if value.shape[axis] > 1:
            parts[axis % len(parts)] = slice(None, None, -1)
    return _cut(operator, value, parts)


#: Rules of operators that only move numbers.
MOVE_RULES: dict[str, Rule] = {
    "RESHAPE": _reshape,
    "SQUEEZE": _squeeze,
    "EXPAND_DIMS": _expand_dims,
    "TRANSPOSE": _transpose,
    "CONCATENATION": _concatenation,
    "STRIDED_SLICE": _strided_slice,
    "SLICE": _slice,
    "SPLIT": _split,
    "SPLIT_V": _split_of_sizes,
    "PACK": _pack,
    "UNPACK": _unpack,
    "GATHER": _gather,
    "EMBEDDING_LOOKUP": _lookup,
    "CAST": _cast,
    "TILE": _tile,
    "BROADCAST_TO": _broadcast_to,
    "REVERSE_V2": _reverse,
}
