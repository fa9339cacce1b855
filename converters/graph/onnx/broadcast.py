"""Tensors and constants of ONNX brought to one order of axes, as ops element by element need it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.graph.builder import Ref
from converters.graph.onnx.axes import (
    Axis,
    Groups,
    OnnxValue,
    common_sizes,
    divide_axis,
    exchange_parts,
    flatten,
    size_of,
)
from converters.graph.onnx.onnx_node import OnnxNode
from converters.graph.onnx.reader import OnnxReader

Array = npt.NDArray[Any]


def align_values(
    reader: OnnxReader, node: OnnxNode, values: Sequence[OnnxValue]
) -> list[OnnxValue]:
    """Give tensors the same parts, axis by axis, so that they can be taken element by element.

    Args:
        reader: The model so far.
        node: Node that takes the tensors.
        values: Tensors whose shapes broadcast.

    Returns:
        The tensors with equal numbers of axes and common parts; an axis along which a tensor is
        repeated stays empty.

    Raises:
        ConversionError: The shapes do not broadcast.
    """
    rank = max(len(value.axes) for value in values)
    aligned = [v.with_axes((*((),) * (rank - len(v.axes)), *v.axes)) for v in values]
    for axis in range(rank):
        present = [value.axes[axis] for value in aligned if value.axes[axis]]
        if not present:
            continue
        if len({size_of(parts) for parts in present}) > 1:
            raise reader.refusal(node, "of shapes that do not fit each other")
        if common_sizes(present) is None:
            aligned = [reader.join_axis(value, axis, node.name) for value in aligned]
            present = [value.axes[axis] for value in aligned if value.axes[axis]]
        sizes = common_sizes(present)
        assert sizes is not None
        aligned = [divide_axis(v, v.axes[axis], sizes) if v.axes[axis] else v for v in aligned]
    # A tensor that is taken twice, once turned, must not have one part in two axes.
    common = [
        tuple(type(part)(part.size) for part in max((v.axes[a] for v in aligned), key=len))
        for a in range(rank)
    ]
    return [_with_parts(value, common) for value in aligned]


def _with_parts(value: OnnxValue, axes: Sequence[Axis]) -> OnnxValue:
    pairs = {
        old: (new,)
        for own, other in zip(value.axes, axes, strict=True)
        if own
        for old, new in zip(own, other, strict=True)
    }
    return exchange_parts(value, pairs)


def common_axes(values: Sequence[OnnxValue]) -> tuple[Axis, ...]:
    """Axes of the result of an op element by element, of tensors from `align_values`."""
    return tuple(
        max((value.axes[axis] for value in values), key=len) for axis in range(len(values[0].axes))
    )


def common_groups(values: Sequence[OnnxValue]) -> Groups:
    """Groups of parts, in order, in which aligned tensors can be taken element by element."""
    axes = common_axes(values)
    every = flatten(axes)
    fullest = max(values, key=lambda value: len(value.stored))
    missing = tuple(part for part in every if part not in fullest.stored)
    groups = (*((part,) for part in missing), *fullest.groups())
    for value in values:
        for group in groups:
            if 0 < sum(part in value.stored for part in group) < len(group):
                return tuple((part,) for part in (*missing, *fullest.stored))
    return groups


def arrange_for(reader: OnnxReader, value: OnnxValue, groups: Groups, name: str) -> Ref:
    """Give an aligned tensor in groups of parts; 1 where it is repeated along a group."""
    own = [group if group and group[0] in value.stored else () for group in groups]
    return reader.arrange(value, own, name)


def constant_in_groups(array: Array, axes: Sequence[Axis], groups: Groups) -> Array:
    """Bring a constant of ONNX to the order of an output.

    Args:
        array: Numbers, of a shape that broadcasts to that of `axes`.
        axes: Parts of each axis of the ONNX tensor.
        groups: Parts of each axis of the output.

    Returns:
        The numbers, with one axis for each group; 1 where they are equal along all of a group.
    """
    array = array.reshape((1,) * (len(axes) - array.ndim) + array.shape)
    sizes = [
        part.size if width > 1 else 1
        for axis, width in zip(axes, array.shape, strict=True)
        for part in axis
    ]
    parts = flatten(axes)
    apart = array.reshape(sizes)
    turned = apart.transpose([parts.index(part) for part in flatten(groups)])
    shape, place = [], 0
    for group in groups:
        widths = turned.shape[place : place + len(group)]
        if 1 < np.prod(widths, dtype=int) < size_of(group):
            wide = list(turned.shape)
            wide[place : place + len(group)] = [part.size for part in group]
            turned = np.broadcast_to(turned, wide)
            widths = tuple(part.size for part in group)
        shape.append(int(np.prod(widths, dtype=int)))
        place += len(group)
    return turned.reshape(shape)
