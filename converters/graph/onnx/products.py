"""Readers of products of matrices: Dense layers, and products of two computed tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.graph.node import DENSE
from converters.graph.onnx.axes import (
    Axis,
    OnnxValue,
    flatten,
    groups_with_last,
    new_axis,
    rows_in_order,
    size_of,
    with_new_parts,
)
from converters.graph.onnx.broadcast import align_values
from converters.graph.onnx.elementwise import add_constant_numbers, combine, scale_and_shift
from converters.graph.onnx.onnx_node import OnnxNode
from converters.graph.onnx.reader import OnnxReader

Array = npt.NDArray[Any]
Reader = Callable[[OnnxReader, OnnxNode], OnnxValue]


def multiply_by_kernel(
    reader: OnnxReader,
    node: OnnxNode,
    value: OnnxValue,
    axis: Axis,
    arrays: tuple[Array, Array | None],
    *owner: Any,
) -> tuple[OnnxValue, Axis]:
    """Multiply along some parts of a tensor by a kernel.

    Args:
        reader: The model so far.
        node: Node that multiplies.
        value: The tensor.
        axis: Parts along which is summed.
        arrays: Kernel (inputs, outputs), and bias (outputs,) or None; real numbers.
        owner: Names of the constants that the kernel is made of.

    Returns:
        The answer, whose axes are those of the tensor, and the parts of its outputs.

    Raises:
        ConversionError: The kernel has another number of inputs; the message names the node.
    """
    kernel, bias = arrays
    if size_of(axis) != kernel.shape[0]:
        raise reader.refusal(node, "whose matrix does not fit its input")
    groups = groups_with_last(value, axis)
    kernel = rows_in_order(kernel, axis, groups[-1])
    source = reader.arrange(value, groups, f"{node.name}_in")
    outputs = kernel.shape[1]
    bias = np.zeros(outputs) if bias is None else np.broadcast_to(bias.reshape(-1), (outputs,))
    order = tuple(axis.index(part) for part in groups[-1])
    layer = reader.layer(node, "", DENSE, *owner, order)
    weights = reader.builder.add_weights(layer, kernel=kernel, bias=bias)
    shape = (*source.shape[:-1], outputs)
    ref = reader.builder.add(node.name, DENSE, (source,), shape, weights=weights)
    new = new_axis(outputs)
    return OnnxValue(ref, (*flatten(groups[:-1]), *new), value.axes), new


def _matrix(reader: OnnxReader, node: OnnxNode, array: Array) -> Array:
    """A constant of two axes."""
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim > 2:
        raise reader.refusal(node, "by a constant of more than two axes")
    return array


def _read_matmul(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    first, second = (reader.is_constant(node.input(place)) for place in (0, 1))
    if second:
        value = reader.floats(node, 0)
        kernel = _matrix(reader, node, reader.constants[node.input(1)])
        columns = kernel if kernel.ndim == 2 else kernel[:, None]
        answer, new = multiply_by_kernel(
            reader, node, value, value.axes[-1], (columns, None), node.input(1)
        )
        axes = (*value.axes[:-1], *((new,) if kernel.ndim == 2 else ()))
        return answer.with_axes(axes)
    if first:
        value = reader.floats(node, 1)
        kernel = _matrix(reader, node, reader.constants[node.input(0)])
        rows = kernel if kernel.ndim == 2 else kernel[None]
        place = -2 if len(value.axes) > 1 else -1
        axis = value.axes[place]
        arrays = (rows.T, None)
        answer, new = multiply_by_kernel(
            reader, node, value, axis, arrays, node.input(0), "transposed"
        )
        behind = value.axes[-1:] if place == -2 else ()
        axes = (*value.axes[:place], *((new,) if kernel.ndim == 2 else ()), *behind)
        return answer.with_axes(axes)
    return multiply_values(reader, node, reader.floats(node, 0), reader.floats(node, 1))


def multiply_values(
    reader: OnnxReader, node: OnnxNode, first: OnnxValue, second: OnnxValue
) -> OnnxValue:
    """Multiply two computed tensors.

    Args:
        reader: The model so far.
        node: Node that multiplies.
        first: Tensor (…, rows, inner).
        second: Tensor (…, inner, columns).

    Returns:
        Tensor (…, rows, columns).

    Raises:
        ConversionError: Their shapes do not fit each other; the message names the node.
    """
    if min(len(first.axes), len(second.axes)) < 2:
        raise reader.refusal(node, "of a vector")
    second = with_new_parts(second)  # of one tensor, rows and columns would be the same parts
    rows, columns = first.axes[-2], second.axes[-1]
    left, right = align_values(
        reader,
        node,
        [first.with_axes(first.axes[:-2]), second.with_axes(second.axes[:-2])],
    )
    inner = (first.axes[-1], second.axes[-2])
    if size_of(inner[0]) != size_of(inner[1]):
        raise reader.refusal(node, "of shapes that do not fit each other")
    batch = [max(pair, key=len) for pair in zip(left.axes, right.axes, strict=True)]
    parts = flatten(batch)
    full = [set(flatten(side.axes)) == set(parts) for side in (left, right)]
    order = left.in_stored_order(parts) if full[0] else parts
    if all(full):
        groups: list[list[Axis]] = [[order] if order else [] for _ in (left, right)]
    else:
        groups = [
            [(part,) if part in side.stored else () for part in order] for side in (left, right)
        ]
    a = reader.arrange(left, [*groups[0], rows, inner[0]], f"{node.name}_first")
    turned = right.stored == (*flatten(groups[1]), *columns, *inner[1])
    last = (columns, inner[1]) if turned else (inner[1], columns)
    b = reader.arrange(right, [*groups[1], *last], f"{node.name}_second")
    sizes = [size_of(order)] if all(full) and order else [p.size for p in order]
    shape = (*sizes, size_of(rows), size_of(columns))
    ref = reader.builder.add(node.name, "matmul", (a, b), shape, {"transpose_b": turned})
    return OnnxValue(ref, (*order, *rows, *columns), (*batch, rows, columns))


def _read_gemm(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    turns = node.whole("transA", 0), node.whole("transB", 0)
    added = node.input(2)
    if not reader.is_constant(node.input(1)) or reader.is_constant(node.input(0)):
        return _gemm_of_two(reader, node, alpha, beta)
    value = reader.floats(node, 0)
    if len(value.axes) != 2:
        raise reader.refusal(node, f"of {len(value.axes)} axes")
    value = value.with_axes(value.axes[::-1]) if turns[0] else value
    kernel = alpha * reader.constants[node.input(1)]
    kernel = kernel.T if turns[1] else kernel
    bias: Array | None = None
    is_folded = not added or reader.is_constant(added)
    if added and is_folded:
        bias = beta * reader.constants[added]
        if bias.size not in (1, kernel.shape[1]):
            bias, is_folded = None, False
    owner = (node.input(1), added if is_folded else "", alpha, beta, *turns)
    part = node if is_folded else replace(node, name=f"{node.name}_product")
    answer, new = multiply_by_kernel(reader, part, value, value.axes[1], (kernel, bias), *owner)
    answer = answer.with_axes((value.axes[0], new))
    return answer if is_folded else _with_added(reader, node, answer, beta)


def _with_added(reader: OnnxReader, node: OnnxNode, value: OnnxValue, beta: float) -> OnnxValue:
    """Add the third input of Gemm."""
    if reader.is_constant(node.input(2)):
        return add_constant_numbers(reader, node, value, beta * reader.constants[node.input(2)])
    added = reader.floats(node, 2)
    if beta != 1:
        added = scale_and_shift(reader, node, "beta", added, beta, 0.0)
    return combine(reader, replace(node, kind="Add"), value, added)


def _gemm_of_two(reader: OnnxReader, node: OnnxNode, alpha: float, beta: float) -> OnnxValue:
    values = []
    for place, name in enumerate(("transA", "transB")):
        value = reader.floats(node, place)
        values.append(value.with_axes(value.axes[::-1]) if node.whole(name, 0) else value)
    part = replace(node, name=f"{node.name}_product") if node.input(2) or alpha != 1 else node
    answer = multiply_values(reader, part, *values)
    if alpha != 1:
        answer = scale_and_shift(reader, node, "alpha", answer, alpha, 0.0)
    return _with_added(reader, node, answer, beta) if node.input(2) else answer


#: Op to its reader.
PRODUCTS: Mapping[str, Reader] = {"MatMul": _read_matmul, "Gemm": _read_gemm}
