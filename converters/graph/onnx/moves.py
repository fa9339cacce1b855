"""Readers of ops that only move numbers: most of them only describe axes in another way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod

import numpy as np

from converters.graph.onnx.axes import OnnxValue, new_axis
from converters.graph.onnx.elementwise import repeat
from converters.graph.onnx.onnx_node import OnnxNode
from converters.graph.onnx.reader import OnnxReader

Reader = Callable[[OnnxReader, OnnxNode], OnnxValue | tuple[OnnxValue, ...]]


def _identity(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    return reader.value(node, 0)


def _wholes(reader: OnnxReader, node: OnnxNode, place: int, name: str) -> tuple[int, ...] | None:
    """Whole numbers that newer opsets take as an input, older ones as an attribute."""
    if node.input(place):
        array = reader.constant(node, place)
        return None if array is None else tuple(int(number) for number in array.reshape(-1))
    return node.wholes(name)


def _reshape(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value = reader.value(node, 0)
    wanted = list(_wholes(reader, node, 1, "shape") or ())
    total = prod(value.shape)
    if not node.whole("allowzero", 0):
        wanted = [
            value.shape[axis] if size == 0 and axis < len(value.shape) else size
            for axis, size in enumerate(wanted)
        ]
    if wanted.count(-1) == 1:
        rest = prod(size for size in wanted if size != -1)
        wanted[wanted.index(-1)] = total // rest if rest > 0 else 0
    if prod(wanted) != total or min(wanted, default=1) < 1:
        raise reader.refusal(
            node,
            f"of {list(value.shape)} to {wanted}",
            "Export the model for a batch of one, or with a free batch axis.",
        )
    return reader.reshape(value, wanted, node.name)


def _flatten(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value = reader.value(node, 0)
    axis = node.whole("axis", 1)
    axis = axis + len(value.axes) if axis < 0 else axis
    sizes = (prod(value.shape[:axis]), prod(value.shape[axis:]))
    return reader.reshape(value, sizes, node.name)


def _squeeze(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value = reader.value(node, 0)
    rank, axes = len(value.axes), _wholes(reader, node, 1, "axes")
    gone = (
        {axis % rank for axis in axes} if axes else {i for i, a in enumerate(value.axes) if not a}
    )
    if any(value.axes[axis] for axis in gone):
        raise reader.refusal(node, "of an axis of several places")
    return value.with_axes([axis for i, axis in enumerate(value.axes) if i not in gone])


def _unsqueeze(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value, new = reader.value(node, 0), _wholes(reader, node, 1, "axes") or ()
    rank = len(value.axes) + len(new)
    places = {axis % rank for axis in new}
    own = iter(value.axes)
    return value.with_axes([() if i in places else next(own) for i in range(rank)])


def _transpose(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value = reader.value(node, 0)
    order = node.wholes("perm") or tuple(reversed(range(len(value.axes))))
    return value.with_axes([value.axes[axis] for axis in order])


def _expand(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value, shape = reader.value(node, 0), _wholes(reader, node, 1, "shape") or ()
    return repeat(reader, node, value, np.broadcast_shapes(value.shape, shape))


def _tile(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value, times = reader.value(node, 0), _wholes(reader, node, 1, "repeats") or ()
    if any(count > 1 and axis for count, axis in zip(times, value.axes, strict=False)):
        raise reader.refusal(node, "of an axis of several places")
    shape = tuple(size * count for size, count in zip(value.shape, times, strict=False))
    return repeat(reader, node, value, shape)


def _depth_to_space(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value, block = reader.value(node, 0), node.whole("blocksize", 1)
    batch, channels, height, width = value.shape
    fewer = channels // (block * block)
    is_first = node.text("mode", "DCR") == "DCR"
    apart = (block, block, fewer) if is_first else (fewer, block, block)
    value = reader.reshape(value, (batch, *apart, height, width), node.name)
    order = (0, 3, 4, 1, 5, 2) if is_first else (0, 1, 4, 2, 5, 3)
    value = value.with_axes([value.axes[axis] for axis in order])
    return reader.reshape(value, (batch, fewer, height * block, width * block), node.name)


def _space_to_depth(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value, block = reader.value(node, 0), node.whole("blocksize", 1)
    batch, channels, height, width = value.shape
    small = (height // block, width // block)
    apart = (batch, channels, small[0], block, small[1], block)
    value = reader.reshape(value, apart, node.name)
    value = value.with_axes([value.axes[axis] for axis in (0, 3, 5, 1, 2, 4)])
    return reader.reshape(value, (batch, channels * block * block, *small), node.name)


def take(
    reader: OnnxReader, name: str, value: OnnxValue, axis: int, part: tuple[int, int | None, int]
) -> OnnxValue:
    """Take the places start:stop:step of an axis.

    Args:
        reader: The model so far.
        name: Name of the node.
        value: The tensor.
        axis: Axis of the ONNX tensor.
        part: Start, stop and step, as of Python's slices.
    """
    size = value.shape[axis]
    count = len(range(size)[slice(*part)])
    if count == size and part[2] == 1:
        return value
    value = reader.join_axis(value, axis, f"{name}_in")
    (own,) = value.axes[axis]
    groups = value.groups()
    if (own,) not in groups:
        groups = tuple((p,) for p in value.stored)
    source = reader.arrange(value, groups, f"{name}_in")
    place = groups.index((own,))
    every = (None, None, None)
    slices = (every, *(part if i == place else every for i in range(len(groups))))
    shape = tuple(count if i == place else n for i, n in enumerate(source.shape))
    ref = reader.builder.add(name, "slice", (source,), shape, {"slices": slices})
    new = new_axis(count)
    stored = tuple(p for group in groups for p in (new if group == (own,) else group))
    axes = [new if i == axis else old for i, old in enumerate(value.axes)]
    return OnnxValue(ref, stored, tuple(axes))


def _slice(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value = reader.value(node, 0)
    starts, ends = _wholes(reader, node, 1, "starts"), _wholes(reader, node, 2, "ends")
    if starts is None or ends is None:
        raise reader.refusal(node, "without places")
    axes = _wholes(reader, node, 3, "axes") or tuple(range(len(starts)))
    steps = _wholes(reader, node, 4, "steps") or (1,) * len(starts)
    for number, (start, stop, axis, step) in enumerate(
        zip(starts, ends, axes, steps, strict=False)
    ):
        axis, size = axis % len(value.axes), value.shape[axis]
        first, last, step = slice(start, stop, step).indices(size)
        if not len(range(first, last, step)):
            raise reader.refusal(node, "of no places")
        part = (first, None if last < 0 else last, step)
        name = node.name if number == len(starts) - 1 else f"{node.name}_of_{axis}"
        value = take(reader, name, value, axis, part)
    return value


def _split(reader: OnnxReader, node: OnnxNode) -> tuple[OnnxValue, ...]:
    value = reader.value(node, 0)
    axis, sizes = node.whole("axis", 0) % len(value.axes), _wholes(reader, node, 1, "split")
    if sizes is None:
        size, count = value.shape[axis], len(node.outputs)
        each = -(-size // count)
        sizes = tuple(min(each, size - place * each) for place in range(count))
    if sum(sizes) != value.shape[axis] or min(sizes) < 1:
        raise reader.refusal(node, f"of {value.shape[axis]} places into {list(sizes)}")
    value = reader.join_axis(value, axis, f"{node.name}_in") if len(sizes) > 1 else value
    starts = np.cumsum([0, *sizes])
    return tuple(
        take(reader, f"{node.name}_{number}", value, axis, (int(start), int(start + size), 1))
        for number, (start, size) in enumerate(zip(starts, sizes, strict=False), start=1)
    )


def _gather(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    if reader.is_constant(node.input(0)):
        return _embedding(reader, node)
    value, places = reader.value(node, 0), reader.constant(node, 1)
    axis = node.whole("axis", 0) % len(value.axes)
    if places is None or places.ndim > 1:
        raise reader.refusal(node, "by places of several axes")
    size = value.shape[axis]
    chosen = [int(place) % size for place in places.reshape(-1)]
    steps = set(np.diff(chosen).tolist())
    if len(chosen) == 1:
        steps = {1}
    if len(steps) != 1 or 0 in steps:
        raise reader.refusal(node, "of places that are no regular row")
    step = steps.pop()
    last = chosen[-1] + (1 if step > 0 else -1)
    taken = take(reader, node.name, value, axis, (chosen[0], None if last < 0 else last, step))
    if places.ndim == 1:
        return taken
    return taken.with_axes([own for i, own in enumerate(taken.axes) if i != axis])


def _embedding(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    """Read the choice of rows of a constant table by computed whole numbers."""
    table, value = reader.constants[node.input(0)], reader.value(node, 1)
    if table.ndim != 2 or node.whole("axis", 0) % table.ndim:
        raise reader.refusal(node, "of a constant that is no table of rows")
    weights = reader.builder.add_weights(reader.layer(node, "", node.input(0)), table=table)
    shape = (*value.ref.shape, table.shape[1])
    ref = reader.builder.add(node.name, "embedding", (value.ref,), shape, weights=weights)
    new = new_axis(table.shape[1])
    return OnnxValue(ref, (*value.stored, *new), (*value.axes, new))


def _cast(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value = reader.value(node, 0)
    is_float = node.whole("to", 1) in (1, 10, 11, 16)
    if is_float:
        return replace(value, ref=reader.builder.floats_of(value.ref))
    if reader.builder.is_whole(value.ref):
        return value
    raise reader.refusal(node, "of floats to whole numbers")


#: Op to its reader.
MOVES: Mapping[str, Reader] = {
    "Identity": _identity,
    "Dropout": _identity,
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Expand": _expand,
    "Tile": _tile,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Slice": _slice,
    "Split": _split,
    "Gather": _gather,
    "Cast": _cast,
}
