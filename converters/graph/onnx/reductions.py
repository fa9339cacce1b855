"""Readers of means, sums and extremes over axes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from converters.graph.onnx.axes import OnnxValue, flatten, size_of
from converters.graph.onnx.elementwise import scale_and_shift
from converters.graph.onnx.onnx_node import OnnxNode
from converters.graph.onnx.reader import OnnxReader

Reader = Callable[[OnnxReader, OnnxNode], OnnxValue]


def reduced_axes(reader: OnnxReader, node: OnnxNode, rank: int) -> tuple[int, ...]:
    """Axes that a node reduces; an attribute, or since opset 13 or 18 an input.

    Raises:
        ConversionError: They are computed.
    """
    axes: Any = node.wholes("axes")
    if axes is None and node.input(1):
        constant = reader.constant(node, 1)
        axes = None if constant is None else [int(axis) for axis in constant.reshape(-1)]
    if not axes:
        axes = () if node.whole("noop_with_empty_axes", 0) else range(rank)
    return tuple(sorted(axis % rank for axis in axes))


def _reduce(reader: OnnxReader, node: OnnxNode, value: OnnxValue, op: str) -> OnnxValue:
    """Add the mean ("average") or the largest ("max") over some axes."""
    gone = reduced_axes(reader, node, len(value.axes))
    parts = flatten([value.axes[axis] for axis in gone])
    kept = value.without_parts(parts)
    if node.whole("keepdims", 1):
        axes = [() if i in gone else axis for i, axis in enumerate(value.axes)]
    else:
        axes = [axis for i, axis in enumerate(value.axes) if i not in gone]
    if not parts:
        return value.with_axes(axes)
    groups = value.groups()
    is_exact = all(set(g) <= set(parts) or not set(g) & set(parts) for g in groups)
    is_image = len(groups) in (2, 3) and groups[-1] == kept and is_exact
    places = tuple(i + 1 for i, group in enumerate(groups) if set(group) & set(parts))
    if op == "average" and is_exact and not is_image:
        source = reader.arrange(value, groups, f"{node.name}_in")
        shape = tuple(1 if i in places else n for i, n in enumerate(source.shape, 1))
        plain: dict[str, Any] = {"axes": places, "keepdims": True}
        ref = reader.builder.add(node.name, "mean", (source,), shape, plain)
        return OnnxValue(ref, kept, tuple(axes))
    if not is_image:
        groups = (value.in_stored_order(parts), kept)
    source = reader.arrange(value, groups, f"{node.name}_in")
    plain = {"rank": len(groups) - 1, "keepdims": False}
    name = f"global_{op}_pool"
    ref = reader.builder.add(node.name, name, (source,), (source.shape[-1],), plain)
    return OnnxValue(ref, kept, tuple(axes))


def _mean(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    return _reduce(reader, node, reader.floats(node, 0), "average")


def _max(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    return _reduce(reader, node, reader.floats(node, 0), "max")


def _min(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value = scale_and_shift(reader, node, "negative", reader.floats(node, 0), -1.0, 0.0)
    largest = _reduce(reader, replace(node, name=f"{node.name}_max"), value, "max")
    return scale_and_shift(reader, node, "", largest, -1.0, 0.0)


def _sum(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value = reader.floats(node, 0)
    mean = _reduce(reader, replace(node, name=f"{node.name}_mean"), value, "average")
    count = size_of(value.stored) // size_of(mean.stored)
    return mean if count == 1 else scale_and_shift(reader, node, "", mean, count, 0.0)


#: Op to its reader.
REDUCTIONS: Mapping[str, Reader] = {
    "ReduceMean": _mean,
    "ReduceMax": _max,
    "ReduceMin": _min,
    "ReduceSum": _sum,
}
