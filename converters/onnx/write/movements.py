"""Ops that move numbers and compute nothing, from TFLite to ONNX.

Integers are moved as they are where the result has the scales of what is moved.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters.errors import ConversionError
from converters.onnx.write.arithmetic import axes_order
from converters.onnx.write.values import FIRST, LAST, TO_FIRST, Values


def move(
    values: Values,
    result: int,
    sources: Sequence[int],
    order: str,
    add: Callable[[list[str]], str],
) -> None:
    """Move numbers by nodes that `add` adds, as integers where scales are equal.

    Args:
        values: Tensors.
        result: Tensor that the numbers become.
        sources: Tensors that they are taken from.
        order: Order of axes of all of them.
        add: Function from the names of the sources to the name of the result.
    """
    if values.same_scales(result, *sources) and not values.symmetric:
        values.set(result, add([values.get(source, order) for source in sources]), order)
    else:
        values.give(result, add([values.real(source, order) for source in sources]), order)


def store_integers(values: Values, numbers: Sequence[int]) -> str:
    """Store whole numbers, such as a shape, and return their name."""
    return values.builder.store(np.array(list(numbers), np.int64), "integers")


def axis_place(axis: int, order: str) -> int:
    """Return the place of an axis of a picture in an order of axes."""
    return TO_FIRST.index(axis) if order == FIRST else axis


def write_reshape(values: Values, op: Any) -> None:
    """Write RESHAPE, SQUEEZE and EXPAND_DIMS as Reshape."""
    source, result = int(op.inputs[0]), int(op.outputs[0])
    shape, of_source = values.shape(result), values.shape(source)
    # Of one place or one channel both orders are one.
    is_flat = len(of_source) == 4 and (of_source[1:3] == (1, 1) or of_source[3] == 1)
    order = FIRST if is_flat and values.is_first(source) else LAST
    wanted = store_integers(values, shape)

    def add(names: list[str]) -> str:
        return values.builder.add("Reshape", [names[0], wanted], values.model.name(result))

    if values.same_scales(source, result) and not values.symmetric:
        values.set(result, add([values.get(source, order)]))
    else:
        values.give(result, add([values.real(source, order)]))


def write_transpose(values: Values, op: Any) -> None:
    """Write TRANSPOSE."""
    permutation = values.numbers(int(op.inputs[1]))

    def add(names: list[str]) -> str:
        return values.builder.add("Transpose", names, perm=permutation)

    move(values, int(op.outputs[0]), [int(op.inputs[0])], LAST, add)


def write_concat(values: Values, op: Any) -> None:
    """Write CONCATENATION as Concat."""
    sources, result = [int(i) for i in op.inputs], int(op.outputs[0])
    rank = len(values.shape(result))
    order = axes_order(values, *sources) if rank == 4 else LAST
    axis = axis_place(int(op.builtinOptions.axis) % rank, order)
    activation = op.builtinOptions.fusedActivationFunction
    if activation:
        real = values.builder.add("Concat", [values.real(s, order) for s in sources], axis=axis)
        values.give(result, real, order, activation)
        return
    move(values, result, sources, order, lambda names: values.builder.add(
        "Concat", names, values.model.name(result), axis=axis))  # fmt: skip


def write_pad(values: Values, op: Any) -> None:
    """Write PAD and PADV2 as Pad.

    Raises:
        ConversionError: What it fills with is computed.
    """
    source, result = int(op.inputs[0]), int(op.outputs[0])
    order = axes_order(values, source)
    pairs = np.array(values.numbers(int(op.inputs[1]))).reshape(-1, 2)
    if order == FIRST:
        pairs = pairs[list(TO_FIRST)]
    pads = store_integers(values, [*pairs[:, 0], *pairs[:, 1]])
    fill = 0.0
    quantization = values.quantization(source)
    if len(op.inputs) > 2:
        stored = values.constant(int(op.inputs[2]))
        if stored is None:
            raise ConversionError("a PADV2 fills with a number that is computed", "Use a constant.")
        fill = float(stored.reshape(-1)[0])
        of_fill = values.quantization(int(op.inputs[2]))
        if of_fill is not None:
            fill = (fill - float(of_fill.points[0])) * float(of_fill.scales[0])
    number = np.array(fill, np.float32)
    if quantization is not None and values.same_scales(source, result) and not values.symmetric:
        kind = values.stored_type(source)
        shift = 128 if kind != values.dtype(source) else 0
        steps = round(fill / float(quantization.scales[0])) + int(quantization.points[0]) + shift
        limits = np.iinfo(kind)
        number = np.array(np.clip(steps, limits.min, limits.max), kind)
    elif quantization is None:
        number = number.astype(values.dtype(source))
    filler = values.builder.store(number, "filler")
    move(values, result, [source], order, lambda names: values.builder.add(
        "Pad", [names[0], pads, filler]))  # fmt: skip


def write_mirror_pad(values: Values, op: Any) -> None:
    """Write MIRROR_PAD: rows and columns are taken again, which serves both of its modes."""
    source, result = int(op.inputs[0]), int(op.outputs[0])
    order = axes_order(values, source)
    pairs = np.array(values.numbers(int(op.inputs[1]))).reshape(-1, 2)
    mode = "symmetric" if op.builtinOptions.mode == schema.MirrorPadMode.SYMMETRIC else "reflect"

    def add(names: list[str]) -> str:
        name = names[0]
        for axis, (before, behind) in enumerate(pairs):
            if before or behind:
                positions = np.arange(values.shape(source)[axis])
                rows = store_integers(values, np.pad(positions, (before, behind), mode=mode))  # type: ignore[call-overload]
                name = values.builder.add("Gather", [name, rows], axis=axis_place(axis, order))
        return name

    move(values, result, [source], order, add)


def write_strided_slice(values: Values, op: Any) -> None:
    """Write STRIDED_SLICE as Slice, and Reshape where it drops axes.

    Raises:
        ConversionError: It adds axes.
    """
    source, result, options = int(op.inputs[0]), int(op.outputs[0]), op.builtinOptions
    if options.ellipsisMask or options.newAxisMask:
        raise ConversionError(
            "a STRIDED_SLICE has an ellipsis or new axes", "Write the slice axis by axis."
        )
    begin, end, strides = (values.numbers(int(tensor)) for tensor in op.inputs[1:4])
    starts, ends = [], []
    for axis, (first, last, step) in enumerate(zip(begin, end, strides, strict=True)):
        size, bit = values.shape(source)[axis], 1 << axis
        if options.shrinkAxisMask & bit:
            first = first % size
            starts.append(first)
            ends.append(first + 1)
            strides[axis] = 1
            continue
        starts.append((0 if step > 0 else size - 1) if options.beginMask & bit else first)
        whole = size if step > 0 else -size - 1
        ends.append(whole if options.endMask & bit else last)
    _write_slice(values, source, result, (starts, ends, strides))


def write_slice(values: Values, op: Any) -> None:
    """Write SLICE."""
    source, result = int(op.inputs[0]), int(op.outputs[0])
    starts = values.numbers(int(op.inputs[1]))
    ends = [start + size for start, size in zip(starts, values.shape(result), strict=True)]
    _write_slice(values, source, result, (starts, ends, [1] * len(starts)))


def write_reverse(values: Values, op: Any) -> None:
    """Write REVERSE_V2 as Slice of negative steps."""
    source, result = int(op.inputs[0]), int(op.outputs[0])
    rank = len(values.shape(source))
    axes = [axis % rank for axis in values.numbers(int(op.inputs[1]))]
    tables = [store_integers(values, table) for table in
              ([-1] * len(axes), [-(2**31)] * len(axes), axes, [-1] * len(axes))]  # fmt: skip
    move(values, result, [source], LAST, lambda names: values.builder.add(
        "Slice", [names[0], *tables]))  # fmt: skip


def _write_slice(
    values: Values, source: int, result: int, parts: tuple[list[int], list[int], list[int]]
) -> None:
    rank, kept = len(values.shape(source)), len(values.shape(result))
    order = axes_order(values, source) if rank == kept else LAST
    axes = [axis_place(axis, order) for axis in range(len(parts[0]))]
    starts, ends, steps = parts
    tables = [store_integers(values, table) for table in (starts, ends, axes, steps)]

    def add(names: list[str]) -> str:
        name = values.builder.add("Slice", [names[0], *tables])
        if rank != kept:
            shape = store_integers(values, values.shape(result))
            name = values.builder.add("Reshape", [name, shape])
        return name

    move(values, result, [source], order, add)


def write_split(values: Values, op: Any) -> None:
    """Write SPLIT, SPLIT_V and UNPACK as slices."""
    name, results = values.model.op(op), [int(i) for i in op.outputs]
    if name == "UNPACK":
        source, axis = int(op.inputs[0]), int(op.builtinOptions.axis)
    elif name == "SPLIT":
        source, (axis,) = int(op.inputs[1]), values.numbers(int(op.inputs[0]))
    else:
        source, (axis,) = int(op.inputs[0]), values.numbers(int(op.inputs[2]))
    shape = values.shape(source)
    axis, first = axis % len(shape), 0
    for result in results:
        size = 1 if name == "UNPACK" else values.shape(result)[axis]
        starts, ends = [0] * len(shape), list(shape)
        starts[axis], ends[axis] = first, first + size
        _write_slice(values, source, result, (starts, ends, [1] * len(shape)))
        first += size


def write_pack(values: Values, op: Any) -> None:
    """Write PACK as Unsqueeze and Concat."""
    sources, result = [int(i) for i in op.inputs], int(op.outputs[0])
    axis = int(op.builtinOptions.axis) % len(values.shape(result))
    axes = store_integers(values, [axis])

    def add(names: list[str]) -> str:
        parts = [values.builder.add("Unsqueeze", [name, axes]) for name in names]
        return values.builder.add("Concat", parts, axis=axis)

    move(values, result, sources, LAST, add)


def write_gather(values: Values, op: Any) -> None:
    """Write GATHER and EMBEDDING_LOOKUP as Gather.

    Raises:
        ConversionError: It has batch axes.
    """
    table, rows = int(op.inputs[0]), int(op.inputs[1])
    options = op.builtinOptions
    if values.model.op(op) == "EMBEDDING_LOOKUP":
        table, rows, axis = rows, table, 0
    else:
        axis = int(options.axis)
        if options.batchDims:
            raise ConversionError("a GATHER has batch axes", "Build the model without them.")
    name = values.get(rows)
    move(values, int(op.outputs[0]), [table], LAST, lambda names: values.builder.add(
        "Gather", [names[0], name], axis=axis))  # fmt: skip


def write_tile(values: Values, op: Any) -> None:
    """Write TILE and BROADCAST_TO."""
    source, result = int(op.inputs[0]), int(op.outputs[0])
    is_tile = values.model.op(op) == "TILE"
    numbers = values.numbers(int(op.inputs[1])) if is_tile else values.shape(result)
    table = store_integers(values, numbers)
    move(values, result, [source], LAST, lambda names: values.builder.add(
        "Tile" if is_tile else "Expand", [names[0], table]))  # fmt: skip


def write_depth_to_space(values: Values, op: Any) -> None:
    """Write DEPTH_TO_SPACE and SPACE_TO_DEPTH."""
    source, result = int(op.inputs[0]), int(op.outputs[0])
    onnx_op = "DepthToSpace" if values.model.op(op) == "DEPTH_TO_SPACE" else "SpaceToDepth"
    real = values.builder.add(
        onnx_op, [values.real(source, FIRST)], blocksize=int(op.builtinOptions.blockSize)
    )
    values.give(result, real, FIRST)


#: Op of TFLite to the function that writes it.
RULES: dict[str, Callable[[Values, Any], None]] = {
    "RESHAPE": write_reshape,
    "SQUEEZE": write_reshape,
    "EXPAND_DIMS": write_reshape,
    "TRANSPOSE": write_transpose,
    "CONCATENATION": write_concat,
    "PAD": write_pad,
    "PADV2": write_pad,
    "MIRROR_PAD": write_mirror_pad,
    "STRIDED_SLICE": write_strided_slice,
    "SLICE": write_slice,
    "REVERSE_V2": write_reverse,
    "SPLIT": write_split,
    "SPLIT_V": write_split,
    "UNPACK": write_split,
    "PACK": write_pack,
    "GATHER": write_gather,
    "EMBEDDING_LOOKUP": write_gather,
    "TILE": write_tile,
    "BROADCAST_TO": write_tile,
    "DEPTH_TO_SPACE": write_depth_to_space,
    "SPACE_TO_DEPTH": write_depth_to_space,
}
