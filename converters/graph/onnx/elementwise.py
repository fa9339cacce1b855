"""Readers of arithmetic, of two tensors and of a tensor and a constant."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.graph.builder import SourceLayer
from converters.graph.limits import add_limit
from converters.graph.onnx.axes import Axis, OnnxValue, flatten, new_axis, size_of
from converters.graph.onnx.broadcast import (
    align_values,
    arrange_for,
    common_axes,
    common_groups,
    constant_in_groups,
)
from converters.graph.onnx.onnx_node import OnnxNode
from converters.graph.onnx.reader import OnnxReader

Array = npt.NDArray[Any]
Reader = Callable[[OnnxReader, OnnxNode], OnnxValue]

#: Number in the place of minus infinity, which masks a score as well.
MASKED = -1e9
_OPS = {"Add": "add", "Sub": "subtract", "Mul": "multiply", "Max": "maximum", "Min": "minimum"}
_OPS |= {"Sum": "add"}


def read_arithmetic(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    """Read an op of numbers element by element.

    Raises:
        ConversionError: The graph cannot represent the node; the message names it and says why.
    """
    places = range(len(node.inputs))
    constants = [place for place in places if reader.is_constant(node.input(place))]
    computed = [place for place in places if place not in constants]
    if not computed:
        raise reader.refusal(node, "of constants only")
    if node.kind in ("Div", "Sub", "Pow") and constants == [0]:
        return _of_reversed(reader, node)
    if node.kind == "Div" and len(computed) == 2:
        return _quotient(reader, node, reader.floats(node, 0), reader.floats(node, 1))
    value = reader.floats(node, computed[0])
    for number, place in enumerate(computed[1:], start=2):
        is_last = number == len(computed) and not constants
        name = node.name if is_last else f"{node.name}_of_{number}"
        value = combine(reader, replace(node, name=name), value, reader.floats(node, place))
    for place in constants:
        array = np.asarray(reader.constants[node.input(place)], np.float64)
        value = _with_constant(reader, node, value, array)
    return value


def combine(reader: OnnxReader, node: OnnxNode, first: OnnxValue, second: OnnxValue) -> OnnxValue:
    """Add the op of two tensors element by element.

    Raises:
        ConversionError: The shapes do not broadcast, or the op takes no two tensors.
    """
    if node.kind not in _OPS:
        raise reader.refusal(node, "of two computed tensors")
    values = align_values(reader, node, [first, second])
    groups = common_groups(values)
    refs = tuple(arrange_for(reader, value, groups, f"{node.name}_in") for value in values)
    shape = tuple(size_of(group) for group in groups) or (1,)
    ref = reader.builder.add(node.name, _OPS[node.kind], refs, shape)
    return OnnxValue(ref, flatten(groups), common_axes(values))


def _quotient(reader: OnnxReader, node: OnnxNode, first: OnnxValue, second: OnnxValue) -> OnnxValue:
    name = f"{node.name}_reciprocal"
    inverse = replace(second, ref=reader.builder.activation(name, second.ref, "reciprocal"))
    return combine(reader, replace(node, kind="Mul"), first, inverse)


def _of_reversed(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    """Read a constant minus a tensor, or divided by it."""
    value, array = reader.floats(node, 1), np.asarray(reader.constants[node.input(0)], np.float64)
    if node.kind == "Div":
        name = f"{node.name}_reciprocal"
        inverse = replace(value, ref=reader.builder.activation(name, value.ref, "reciprocal"))
        return multiply(reader, node, inverse, array)
    if node.kind != "Sub":
        raise reader.refusal(node, "of a constant by a computed exponent")
    negative = scale_and_shift(reader, node, "negative", value, -1.0, 0.0)
    return _with_constant(reader, replace(node, kind="Add"), negative, array)


def _with_constant(reader: OnnxReader, node: OnnxNode, value: OnnxValue, array: Array) -> OnnxValue:
    if node.kind in ("Add", "Sum"):
        return add_constant_numbers(reader, node, value, array)
    if node.kind == "Sub":
        return add_constant_numbers(reader, node, value, -array)
    if node.kind == "Mul":
        return multiply(reader, node, value, array)
    if node.kind == "Div" and array.all():
        return multiply(reader, node, value, 1 / array)
    if node.kind == "Pow" and array.size == 1:
        return _power(reader, node, value, float(array.reshape(())))
    if node.kind in ("Max", "Min") and array.size == 1:
        limit, op = float(array.reshape(())), _OPS[node.kind]
        ref = add_limit(reader.builder, reader.layer(node), op, value.ref, limit)
        return replace(value, ref=ref)
    raise reader.refusal(node, f"with a constant of the shape {list(array.shape)}")


def _power(reader: OnnxReader, node: OnnxNode, value: OnnxValue, exponent: float) -> OnnxValue:
    functions = {2.0: "square", 0.5: "sqrt", -0.5: "rsqrt", -1.0: "reciprocal"}
    if exponent in functions:
        ref = reader.builder.activation(node.name, value.ref, functions[exponent])
        return replace(value, ref=ref)
    if exponent != 3:
        raise reader.refusal(node, f"by {exponent:g}")
    ref = reader.builder.activation(f"{node.name}_square", value.ref, "square")
    return combine(reader, replace(node, kind="Mul"), replace(value, ref=ref), value)


def scale_and_shift(
    reader: OnnxReader, node: OnnxNode, part: str, value: OnnxValue, scale: float, offset: float
) -> OnnxValue:
    """Add value * scale + offset of two numbers."""
    layer = reader.layer(node, part, object())
    return replace(value, ref=reader.builder.affine(layer, value.ref, scale, offset))


def add_constant_numbers(
    reader: OnnxReader, node: OnnxNode, value: OnnxValue, array: Array
) -> OnnxValue:
    """Add constant numbers, of a shape that broadcasts."""
    if not array.any():
        return _wider(reader, node, value, array)
    layer = reader.layer(node, "", "add", *node.inputs)
    return _by_constant(reader, node, layer, value, array, is_factor=False)


def multiply(reader: OnnxReader, node: OnnxNode, value: OnnxValue, array: Array) -> OnnxValue:
    """Multiply by constant numbers, of a shape that broadcasts."""
    if (array == 1).all():
        return _wider(reader, node, value, array)
    layer = reader.layer(node, "", "multiply", *node.inputs)
    return _by_constant(reader, node, layer, value, array, is_factor=True)


def _wider(reader: OnnxReader, node: OnnxNode, value: OnnxValue, array: Array) -> OnnxValue:
    """The tensor itself, with the axes that a constant of no effect adds in front."""
    shape = np.broadcast_shapes(value.shape, array.shape)
    if int(np.prod(shape)) != size_of(value.stored):
        return repeat(reader, node, value, shape)
    return value.with_axes((*((),) * (len(shape) - len(value.axes)), *value.axes))


def _by_constant(
    reader: OnnxReader,
    node: OnnxNode,
    layer: SourceLayer,
    value: OnnxValue,
    array: Array,
    *,
    is_factor: bool,
) -> OnnxValue:
    value = _wider(reader, node, value, array)
    groups = value.groups()
    numbers = constant_in_groups(array, value.axes, groups)
    varies = [axis for axis, width in enumerate(numbers.shape) if width > 1]
    if not is_factor and varies and varies != [len(groups) - 1]:
        # Minus infinity masks a score.
        limited = np.maximum(numbers, MASKED) if np.isneginf(numbers).any() else numbers
        return _add_constant(reader, node, value, limited)
    if varies and varies != [len(groups) - 1]:
        along = flatten([groups[axis] for axis in varies])
        groups = (*(g for axis, g in enumerate(groups) if axis not in varies), along)
        numbers = constant_in_groups(array, value.axes, groups)
    ref = reader.arrange(value, groups, f"{node.name}_in")
    flat: Any = numbers.reshape(-1)
    if not is_factor:
        flat = np.maximum(flat, MASKED)
    scale, offset = (flat, 0.0) if is_factor else (1.0, flat)
    ref = reader.builder.affine(layer, ref, scale, offset)
    return OnnxValue(ref, flatten(groups), value.axes)


def _add_constant(
    reader: OnnxReader, node: OnnxNode, value: OnnxValue, numbers: Array
) -> OnnxValue:
    groups = value.groups()
    ref = reader.arrange(value, groups, f"{node.name}_in")
    ref = reader.builder.add_constant(node.name, ref, numbers.astype(np.float32))
    return OnnxValue(ref, flatten(groups), value.axes)


def repeat(
    reader: OnnxReader, node: OnnxNode, value: OnnxValue, shape: tuple[int, ...]
) -> OnnxValue:
    """Repeat a tensor along axes of size 1, as Expand does.

    Args:
        reader: The model so far.
        node: Node that repeats.
        value: The tensor.
        shape: Shape that its own broadcasts to, for one sample.
    """
    value = value.with_axes((*((),) * (len(shape) - len(value.axes)), *value.axes))
    wider: list[Axis] = [
        new_axis(size) if not own else () for own, size in zip(value.axes, shape, strict=True)
    ]
    added = flatten(wider)
    if not added:
        return value
    before = reader.arrange(value, [(), (), value.stored], f"{node.name}_in")
    size, channels = size_of(added), before.shape[-1]
    plain = {"size": (size, 1), "interpolation": "nearest"}
    ref = reader.builder.add(node.name, "upsample", (before,), (size, 1, channels), plain)
    axes = [own or new for own, new in zip(value.axes, wider, strict=True)]
    return OnnxValue(ref, (*added, *value.stored), tuple(axes))


ARITHMETIC: dict[str, Reader] = dict.fromkeys((*_OPS, "Div", "Pow"), read_arithmetic)
