"""Readers of ops that join tensors: Concat, and Where with a constant condition."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.graph.node import ACTIVATION, CONCAT
from converters.graph.onnx.axes import Axis, OnnxValue, flatten, new_axis
from converters.graph.onnx.broadcast import align_values
from converters.graph.onnx.elementwise import MASKED, add_constant_numbers, combine, multiply
from converters.graph.onnx.onnx_node import OnnxNode
from converters.graph.onnx.pads import pad_axes
from converters.graph.onnx.reader import OnnxReader

Array = npt.NDArray[Any]
Reader = Callable[[OnnxReader, OnnxNode], OnnxValue]


def _concat(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    constants = [reader.constants.get(name) for name in node.inputs]
    if all(array is not None for array in constants):
        raise reader.refusal(node, "of constants only")
    rank = max(len(reader.value(node, i).axes) for i, a in enumerate(constants) if a is None)
    axis = node.whole("axis", 0) % rank
    values: list[OnnxValue] = []
    before = 0
    place, numbers = 0, dict[int, Array]()
    for number, array in enumerate(constants):
        if array is not None:
            numbers[place] = array
            place += array.shape[axis]
            if values:
                values[-1] = _padded(reader, node, values[-1], axis, (0, array.shape[axis]))
            else:
                before += array.shape[axis]
            continue
        value = reader.value(node, number)
        place += value.shape[axis]
        values.append(_padded(reader, node, value, axis, (before, 0)))
        before = 0
    joined = _join(reader, node, values, axis) if len(values) > 1 else values[0]
    if not any(array.any() for array in numbers.values()):
        return joined
    shape = [1] * rank
    shape[axis] = place
    widest = np.broadcast_shapes(*(_without_axis(array.shape, axis) for array in numbers.values()))
    whole = np.zeros([place if i == axis else n for i, n in enumerate(widest)], np.float64)
    for start, array in numbers.items():
        part = [slice(None)] * rank
        part[axis] = slice(start, start + array.shape[axis])
        whole[tuple(part)] = array
    return add_constant_numbers(reader, replace(node, name=f"{node.name}_constant"), joined, whole)


def _without_axis(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    return tuple(1 if i == axis else n for i, n in enumerate(shape))


def _padded(
    reader: OnnxReader, node: OnnxNode, value: OnnxValue, axis: int, sides: tuple[int, int]
) -> OnnxValue:
    """A tensor with zeros in the place of a constant."""
    if not any(sides):
        return value
    part = replace(node, name=f"{node.name}_padded")
    return pad_axes(reader, part, value, {axis: sides})


def _join(reader: OnnxReader, node: OnnxNode, values: list[OnnxValue], axis: int) -> OnnxValue:
    values = [reader.join_axis(value, axis, f"{node.name}_in") for value in values]
    own = [value.axes[axis] for value in values]
    others = align_values(reader, node, [_replace_axis(value, axis, ()) for value in values])
    fullest = next((i for i, parts in enumerate(own) if parts), 0)
    model = others[fullest]
    order = [part for part in model.stored if part not in own[fullest]]
    if own[fullest]:
        place = model.stored.index(own[fullest][0])
    elif axis == 1 and len(model.axes) > 3:
        place = len(order)
    else:
        behind = flatten(model.axes[axis + 1 :])
        place = next((i for i, part in enumerate(order) if part in behind), len(order))
    refs = []
    for value, parts in zip(others, own, strict=True):
        if set(value.stored) - set(parts) != set(order):
            raise reader.refusal(node, "of shapes that do not fit each other")
        groups: list[Axis] = [(part,) for part in order]
        groups.insert(place, parts)
        refs.append(reader.arrange(value, groups, f"{node.name}_in"))
    length = sum(ref.shape[place] for ref in refs)
    shape = (*refs[0].shape[:place], length, *refs[0].shape[place + 1 :])
    plain = {"axis": place + 1}
    ref = reader.builder.add(node.name, CONCAT, tuple(refs), shape, plain)
    new = new_axis(length)
    stored = (*order[:place], *new, *order[place:])
    return _replace_axis(OnnxValue(ref, stored, model.axes), axis, new)


def _replace_axis(value: OnnxValue, axis: int, parts: Axis) -> OnnxValue:
    return value.with_axes([parts if i == axis else own for i, own in enumerate(value.axes)])


def _where(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    """Read the choice between two tensors by a constant condition: a mask."""
    if not reader.is_constant(node.input(0)):
        guarded = _guarded(reader, node)
        if guarded is not None:
            return guarded
        raise reader.refusal(node, "with a condition that is computed")
    condition = reader.constants[node.input(0)].astype(bool)
    parts = []
    for place, chosen in ((1, condition), (2, ~condition)):
        name = node.input(place)
        part = replace(node, name=f"{node.name}_{place}")
        if not reader.is_constant(name):
            parts.append(multiply(reader, part, reader.floats(node, place), chosen * 1.0))
    if len(parts) == 2:
        return combine(reader, replace(node, kind="Add"), *parts)
    if not parts:
        raise reader.refusal(node, "of constants only")
    place = 1 if reader.is_constant(node.input(1)) else 2
    chosen = condition if place == 1 else ~condition
    array = np.broadcast_to(reader.constants[node.input(place)], chosen.shape)
    masked = array[chosen]
    if masked.size and masked.max() <= MASKED / 1e5:  # a score that softmax makes 0
        value = reader.floats(node, 3 - place)
        return add_constant_numbers(reader, node, value, np.where(chosen, MASKED, 0.0))
    return add_constant_numbers(reader, node, parts[0], np.where(chosen, array, 0.0))


def _guarded(reader: OnnxReader, node: OnnxNode) -> OnnxValue | None:
    """The softmax behind which an exporter replaces what is no number; None for anything else."""
    value = reader.values.get(node.input(2))
    condition = reader.not_a_number.get(node.input(0))
    if value is None or condition is None or condition.ref != value.ref:
        return None
    return value


def _is_nan(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    """Remember the question whether a softmax is no number; it always is one."""
    value = reader.floats(node, 0)
    if not reader.gives(value.ref, ACTIVATION, "softmax"):
        raise reader.refusal(node)
    reader.not_a_number[node.output(0)] = value
    return value


#: Op to its reader.
JOINS: Mapping[str, Reader] = {"Concat": _concat, "Where": _where, "IsNaN": _is_nan}
