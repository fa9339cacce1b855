"""Where the axes of an ONNX tensor lie in the output of a node. Pure.

ONNX fixes the order of axes by op, the graph wants channels last. So a tensor of ONNX is kept as a
node's output together with where each of its axes lies in there. Then a Transpose, a Squeeze or a
Flatten is only another description of the same output, and axes move only where an op needs them
in another order. Axes of size 1, the batch of a file among them, lie nowhere: the file is read for
one sample, and the graph has a batch axis of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

from converters.graph.builder import Ref


@dataclass(frozen=True, eq=False)
class AxisPart:
    """A piece of an axis that is moved as a whole; equal only to itself."""

    size: int
    """Number of places, 2 or more."""


Axis = tuple[AxisPart, ...]
#: Parts of a tensor's output in groups; each group is an axis of the output.
Groups = tuple[Axis, ...]


@dataclass(frozen=True)
class OnnxValue:
    """A tensor of ONNX that a node gives."""

    ref: Ref
    """Node that gives it."""
    stored: Axis
    """Parts in the order in which the node's output has them, the slowest first."""
    axes: tuple[Axis, ...]
    """Parts of each axis of the ONNX tensor, the slowest first; empty for an axis of size 1."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the ONNX tensor, for one sample."""
        return tuple(size_of(axis) for axis in self.axes)

    def with_axes(self, axes: Sequence[Axis]) -> OnnxValue:
        """The same output, described by other axes of the same parts."""
        return replace(self, axes=tuple(axes))

    def without_parts(self, *axes: Axis) -> Axis:
        """Parts that belong to none of some axes, in the order in which they are stored."""
        others = {part for axis in axes for part in axis}
        return tuple(part for part in self.stored if part not in others)

    def in_stored_order(self, axis: Axis) -> Axis:
        """Parts of an axis in the order in which they are stored."""
        return tuple(part for part in self.stored if part in axis)

    def groups(self) -> Groups:
        """Parts of each axis of the node's output; one group a part where they do not agree."""
        parts, groups = list(self.stored), []
        for size in self.ref.shape:
            group: Axis = ()
            while size_of(group) < size and parts:
                group += (parts.pop(0),)
            if size_of(group) != size:
                return tuple((part,) for part in self.stored)
            groups.append(group)
        return tuple(groups)


def size_of(axis: Sequence[AxisPart]) -> int:
    """Number of places along an axis."""
    return prod(part.size for part in axis)


def new_axis(size: int) -> Axis:
    """An axis of one new part; of none where the size is 1."""
    return (AxisPart(size),) if size > 1 else ()


def flatten(axes: Sequence[Axis]) -> Axis:
    """Parts of several axes, one after another."""
    return tuple(part for axis in axes for part in axis)


def exchange_parts(value: OnnxValue, parts: Mapping[AxisPart, Axis]) -> OnnxValue:
    """Name parts by others: one by one that takes its place, or by several that divide it."""
    return OnnxValue(
        value.ref,
        flatten([parts.get(part, (part,)) for part in value.stored]),
        tuple(flatten([parts.get(part, (part,)) for part in axis]) for axis in value.axes),
    )


def with_new_parts(value: OnnxValue) -> OnnxValue:
    """The value, described by parts that no other value has."""
    return exchange_parts(value, {part: (AxisPart(part.size),) for part in value.stored})


def split_axes(value: OnnxValue, shape: Sequence[int]) -> OnnxValue | None:
    """Describe a value by axes of another shape, as Reshape does.

    Returns:
        The value; None where its parts would have to be joined in the order of ONNX first.
    """
    left, axes = list(flatten(value.axes)), []
    divided: dict[AxisPart, Axis] = {}
    for size in shape:
        axis: Axis = ()
        while size_of(axis) < size:
            if not left or size % size_of(axis):
                return None
            part, needed = left.pop(0), size // size_of(axis)
            if part.size > needed:
                if part.size % needed:
                    return None
                pieces = (AxisPart(needed), AxisPart(part.size // needed))
                divided = {
                    old: flatten([pieces if p is part else (p,) for p in parts])
                    for old, parts in divided.items()
                }
                if not any(pieces[0] in parts for parts in divided.values()):
                    divided[part] = pieces
                part = pieces[0]
                left.insert(0, pieces[1])
            axis += (part,)
        if size_of(axis) != size:
            return None
        axes.append(axis)
    if left:
        return None
    stored = flatten([divided.get(part, (part,)) for part in value.stored])
    return OnnxValue(value.ref, stored, tuple(axes))


def common_sizes(axes: Sequence[Axis]) -> tuple[int, ...] | None:
    """Sizes of the coarsest parts that all axes of one size can be divided into; None for none."""
    total = size_of(axes[0])
    steps: set[int] = set()
    for axis in axes:
        inner = 1
        for part in reversed(axis):
            inner *= part.size
            steps.add(inner)
    sizes, before = [], 1
    for step in sorted(steps):
        if step % before:
            return None
        sizes.append(step // before)
        before = step
    assert before == total
    return tuple(reversed(sizes))


def divide_axis(value: OnnxValue, axis: Axis, sizes: Sequence[int]) -> OnnxValue:
    """Divide the parts of an axis so that they have given sizes, which fit."""
    left, divided = list(sizes), {}
    for part in axis:
        pieces: Axis = ()
        while size_of(pieces) < part.size:
            pieces += (AxisPart(left.pop(0)),)
        if len(pieces) > 1:
            divided[part] = pieces
    return exchange_parts(value, divided)


def groups_with_last(value: OnnxValue, parts: Axis) -> Groups:
    """Groups of parts of which the last one has certain parts, in the order that moves least.

    Args:
        value: The tensor.
        parts: Parts that the last group shall have, in whatever order they are stored.
    """
    groups, last = value.groups(), value.in_stored_order(parts)
    if groups and groups[-1] == last and not (len(groups) == 1 and not last):
        return groups
    return (*((part,) for part in value.without_parts(parts)), last)


def rows_in_order(array: Any, axis: Axis, order: Axis) -> Any:
    """Reorder the first axis of an array from one order of parts to another.

    Args:
        array: Array whose first axis has as many places as the parts.
        axis: Parts in the order that the array has.
        order: Parts in the order that is wanted.
    """
    if axis == order or len(axis) < 2:
        return array
    apart = array.reshape([part.size for part in axis] + list(array.shape[1:]))
    places = [axis.index(part) for part in order]
    turned = apart.transpose(places + list(range(len(axis), apart.ndim)))
    return turned.reshape(array.shape)
