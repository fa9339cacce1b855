"""Rules of operators with a kernel: convolutions and products of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.graph.builder import Ref
from converters.graph.node import CONV, CONV_TRANSPOSE, DENSE, DEPTHWISE
from converters.graph.tflite.operator import Array, FileOperator, Rule, integers
from converters.graph.tflite.value import Shape, Value, broadcast_shape, graph_shape

_PADDINGS = ("same", "valid")


def window_of(operator: FileOperator) -> dict[str, Any]:
    """Strides and padding of an operator that moves a window over an image.

    Raises:
        ValueError: A stride is no positive number.
    """
    strides = operator.option("strideH"), operator.option("strideW")
    if min(strides) < 1:
        raise ValueError(f"the strides are {strides}")
    return {"strides": strides, "padding": _PADDINGS[operator.option("padding")]}


def places(size: int, window: int, stride: int, padding: str) -> int:
    """Number of places along an axis of a window of so many pixels.

    Raises:
        ValueError: The window does not fit into the image.
    """
    count = -(-size // stride) if padding == "same" else (size - window) // stride + 1
    if count < 1:
        raise ValueError(f"a window of {window} does not fit into {size}")
    return count


def _dilated_window(
    operator: FileOperator, kernel: Array
) -> tuple[dict[str, Any], tuple[int, int]]:
    """Attributes of a convolution, and height and width of its kernel with the gaps inside."""
    window = window_of(operator)
    dilation = operator.option("dilationHFactor"), operator.option("dilationWFactor")
    if min(dilation) < 1:
        raise ValueError(f"the dilation is {dilation}")
    if max(dilation) > 1 and max(window["strides"]) > 1:
        raise operator.refusal("it has both strides and a dilation")
    size = tuple((n - 1) * gap + 1 for n, gap in zip(kernel.shape[1:3], dilation, strict=True))
    return {**window, "dilation": dilation}, (size[0], size[1])


def _bias(operator: FileOperator, place: int, channels: int) -> Array:
    bias = operator.optional(place)
    if bias is None:
        return np.zeros(channels, np.float32)
    if bias.size != channels:
        raise ValueError(f"a bias of {bias.size} numbers for {channels} channels")
    return bias.reshape(-1)


def _weights(
    operator: FileOperator, attributes: Any, kernel: Array, place: int, channels: int
) -> str:
    """Key of kernel and bias: one for all operators that share both, settings and activation."""
    tensors = [p for n, p in enumerate(operator.positions) if n and n <= place]
    activation = getattr(operator.options, "fusedActivationFunction", 0)
    layer = operator.layer(owner=(operator.kind, tuple(tensors), str(attributes), activation))
    return operator.builder.add_weights(layer, kernel=kernel, bias=_bias(operator, place, channels))


def _conv(operator: FileOperator) -> Value:
    source, kernel = operator.image(0), operator.constant(1)
    outputs, _, _, inputs = kernel.shape
    window, size = _dilated_window(operator, kernel)
    if source.shape[-1] % inputs:
        raise ValueError(f"a kernel of {inputs} channels for {source.shape[-1]}")
    window["groups"] = source.shape[-1] // inputs
    return _convolved(operator, CONV, source, (window, size, outputs), kernel.transpose(1, 2, 3, 0))


def _depthwise(operator: FileOperator) -> Value:
    source, kernel = operator.image(0), operator.constant(1)
    _, height, width, outputs = kernel.shape
    window, size = _dilated_window(operator, kernel)
    if outputs % source.shape[-1]:
        raise ValueError(f"a kernel of {outputs} channels for {source.shape[-1]}")
    shape = (height, width, source.shape[-1], outputs // source.shape[-1])
    return _convolved(operator, DEPTHWISE, source, (window, size, outputs), kernel.reshape(shape))


def _convolved(
    operator: FileOperator,
    op: str,
    source: Ref,
    settings: tuple[dict[str, Any], tuple[int, int], int],
    kernel: Array,
) -> Value:
    window, size, outputs = settings
    area = tuple(
        places(*axis, window["padding"])
        for axis in zip(source.shape[:2], size, window["strides"], strict=True)
    )
    weights = _weights(operator, window, kernel, 2, outputs)
    answer = operator.add(op, (source,), (*area, outputs), window, weights)
    return operator.finish(answer, (1, *answer.shape))


def _conv_transpose(operator: FileOperator) -> Value:
    shape = integers(operator.constant(0))
    return _transposed(operator, operator.image(2), (shape[1], shape[2]), 3)


def _transposed(
    operator: FileOperator, source: Ref, area: tuple[int, int], bias_place: int
) -> Value:
    """Add a transposed convolution, whose kernel is input 1, of this output height and width."""
    kernel, window, shape = operator.constant(1), window_of(operator), (1, *area)
    outputs, strides = kernel.shape[0], window["strides"]
    axes = list(zip(source.shape[:2], kernel.shape[1:3], strides, shape[1:3], strict=True))
    same = window["padding"] == "same" and all(n * s == size for n, _, s, size in axes)
    plain = {"strides": strides, "padding": "same" if same else "valid", "dilation": (1, 1)}
    full = tuple(size if same else n * s + max(k - s, 0) for n, k, s, size in axes)
    weights = _weights(operator, plain, kernel.transpose(1, 2, 0, 3), bias_place, outputs)
    answer = operator.add(CONV_TRANSPOSE, (source,), (*full, outputs), plain, weights)
    begins = [
        0 if same or window["padding"] == "valid" else max((n - 1) * s + k - size, 0) // 2
        for n, k, s, size in axes
    ]
    cuts = tuple((begin, full[i] - shape[1 + i] - begin) for i, begin in enumerate(begins))
    if min(end for _, end in cuts) < 0:
        raise operator.refusal("it has more rows or columns than its input and kernel give")
    if any(map(any, cuts)):
        cut_shape = (*shape[1:3], outputs)
        name = f"{operator.name}_cut"
        answer = operator.builder.add(name, "crop", (answer,), cut_shape, {"cropping": cuts})
    return operator.finish(answer, (1, *answer.shape))


def _fully_connected(operator: FileOperator) -> Value:
    if getattr(operator.options, "weightsFormat", 0):
        raise operator.refusal("its weights are in a format of their own")
    value, weights = operator.floats(0), operator.inputs[1]
    if isinstance(weights, Value):
        return _fully_connected_values(operator, value, weights)
    kernel = operator.constant(1)
    outputs, inputs = kernel.shape
    shape = _fully_connected_shape(operator, value.shape, inputs, outputs)
    node_shape = graph_shape((*shape[:-1], inputs))
    key = _weights(operator, "", kernel.T, 2, outputs)
    source = operator.reshape(value.ref, node_shape)
    answer = operator.add(DENSE, (source,), (*node_shape[:-1], outputs), weights=key)
    return operator.finish(answer, shape)


def _fully_connected_shape(
    operator: FileOperator, shape: Shape, inputs: int, outputs: int
) -> Shape:
    if getattr(operator.options, "keepNumDims", False):
        return (*shape[:-1], outputs)
    size = int(np.prod(shape))
    if size % inputs:
        raise ValueError(f"a kernel of {inputs} inputs for {size} numbers")
    return (size // inputs, outputs)


def _fully_connected_values(operator: FileOperator, value: Value, weights: Value) -> Value:
    if operator.optional(2) is not None:
        raise operator.refusal("it has a bias, and the file computes its kernel")
    outputs, inputs = weights.shape
    shape = _fully_connected_shape(operator, value.shape, inputs, outputs)
    flat = operator.reshape(value.ref, (int(np.prod(shape[:-1])), inputs))
    other = operator.reshape(weights.ref, (outputs, inputs))
    plain = {"transpose_b": True}
    answer = operator.add("matmul", (flat, other), (flat.shape[0], outputs), plain)
    return operator.finish(answer, shape)


def _batch_matmul(operator: FileOperator) -> Value:
    first, second = operator.inputs[:2]
    if isinstance(first, Value) and isinstance(second, Value):
        return _matmul_of_two(operator, operator.floats(0), operator.floats(1))
    adj_x, adj_y = bool(operator.options.adjX), bool(operator.options.adjY)
    if isinstance(first, Value):
        kernel = _matrix(operator, operator.constant(1), adj_y)
        value = _turned(operator, operator.floats(0)) if adj_x else operator.floats(0)
        return _times_matrix(operator, value, kernel)
    # A x B is the transpose of (transpose of B) x (transpose of A).
    kernel = _matrix(operator, operator.constant(0), not adj_x)
    value = operator.floats(1) if adj_y else _turned(operator, operator.floats(1))
    return _turned(operator, _times_matrix(operator, value, kernel))


def _matrix(operator: FileOperator, array: Array, is_turned: bool) -> Array:
    """A constant factor (inputs, outputs)."""
    if array.ndim < 2 or array.size != array.shape[-1] * array.shape[-2]:
        raise operator.refusal(f"a factor is a constant of the shape {array.shape}")
    matrix = array.reshape(array.shape[-2:])
    return matrix.T if is_turned else matrix


def _times_matrix(operator: FileOperator, value: Value, kernel: Array) -> Value:
    inputs, outputs = kernel.shape
    if value.shape[-1] != inputs:
        raise ValueError(f"a matrix of {inputs} rows for {value.shape[-1]} columns")
    bias = np.zeros(outputs, np.float32)
    weights = operator.builder.add_weights(operator.layer(), kernel=kernel, bias=bias)
    answer = operator.add(DENSE, (value.ref,), (*value.ref.shape[:-1], outputs), weights=weights)
    return Value(answer, (*value.shape[:-1], outputs))


def _turned(operator: FileOperator, value: Value) -> Value:
    """A tensor whose last two axes are exchanged."""
    ref = value.ref if len(value.ref.shape) > 1 else operator.whole(value)
    rank = len(ref.shape)
    dims = (*range(1, rank - 1), rank, rank - 1)
    shape = (*ref.shape[:-2], ref.shape[-1], ref.shape[-2])
    name = f"{operator.name}_turned"
    turned = operator.builder.add(name, "permute", (ref,), shape, {"dims": dims})
    return operator.finish(turned, (*value.shape[:-2], value.shape[-1], value.shape[-2]))


def _matmul_of_two(operator: FileOperator, first: Value, second: Value) -> Value:
    if operator.options.adjX:
        first = _turned(operator, first)
    turns = bool(operator.options.adjY)
    rank = max(len(first.shape), len(second.shape), 2)
    columns = second.shape[-2] if turns else second.shape[-1]
    shared = (second.shape[-1] if turns else second.shape[-2], first.shape[-1])
    if shared[0] != shared[1]:
        raise ValueError(f"factors of the shapes {first.shape} and {second.shape}")
    before = broadcast_shape([first.shape[:-2], second.shape[:-2]])
    shape = (*before, first.shape[-2], columns)
    refs = [operator.whole(value, rank) for value in (first, second)]
    if rank > 2 and all(ref.shape[0] == 1 for ref in refs):
        refs = [operator.reshape(ref, ref.shape[1:]) for ref in refs]
    rows = broadcast_shape([refs[0].shape[:-2], refs[1].shape[:-2]])
    node_shape = (*rows, first.shape[-2], columns)
    answer = operator.add("matmul", (refs[0], refs[1]), node_shape, {"transpose_b": turns})
    return operator.finish(answer, shape)


#: Rules of operators with a kernel.
KERNEL_RULES: dict[str, Rule] = {
    "CONV_2D": _conv,
    "DEPTHWISE_CONV_2D": _depthwise,
    "TRANSPOSE_CONV": _conv_transpose,
    "FULLY_CONNECTED": _fully_connected,
    "BATCH_MATMUL": _batch_matmul,
}
