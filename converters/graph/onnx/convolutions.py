"""Readers of convolutions, of one dimension and of two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import gcd
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.graph.builder import Ref
from converters.graph.node import CONV, CONV_TRANSPOSE, DEPTHWISE
from converters.graph.onnx.axes import OnnxValue, rows_in_order
from converters.graph.onnx.onnx_node import OnnxNode
from converters.graph.onnx.reader import OnnxReader
from converters.graph.onnx.windows import OnnxWindow, Pads, is_same, window_of_node

Array = npt.NDArray[Any]
Reader = Callable[[OnnxReader, OnnxNode], OnnxValue]


@dataclass(frozen=True)
class _Convolution:
    """A convolution with its kernel, as ONNX has it."""

    value: OnnxValue
    kernel: Array
    """Kernel in the order of ONNX, with a height."""
    window: OnnxWindow
    groups: int
    order: tuple[int, ...] = ()
    """Order in which the parts of the channels are stored."""


def _convolution_of(reader: OnnxReader, node: OnnxNode) -> _Convolution:
    value, kernel = reader.floats(node, 0), reader.constant(node, 1)
    if kernel is None or kernel.ndim not in (3, 4) or len(value.axes) != kernel.ndim:
        rank = "?" if kernel is None else str(kernel.ndim - 2)
        raise reader.refusal(node, f"of {rank} dimensions; one and two are known")
    if value.axes[0]:
        count = value.shape[0]
        raise reader.refusal(node, f"that takes {count} images of one sample at a time")
    if kernel.ndim == 3:
        kernel = kernel[:, :, None]
    window = window_of_node(node, value.shape[2:], kernel.shape[2:])
    return _Convolution(value, kernel, window, node.whole("group", 1))


def _read_conv(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    conv = _convolution_of(reader, node)
    value, groups = conv.value, conv.groups
    outputs, inputs = conv.kernel.shape[:2]
    if inputs * groups != value.shape[1] or outputs % groups:
        raise reader.refusal(node, "whose kernel does not fit its input")
    is_depthwise = inputs == 1 and groups > 1
    axis = value.axes[1] if groups > 1 else value.in_stored_order(value.axes[1])
    spatial = [()] * (4 - len(value.axes)) + list(value.axes[2:])
    image = reader.arrange(value, [*spatial, axis], f"{node.name}_in")
    if is_depthwise:
        by_input = conv.kernel.reshape(groups, outputs // groups, *conv.kernel.shape[2:])
        kernel = by_input.transpose(2, 3, 0, 1)
    else:
        by_row = rows_in_order(conv.kernel.transpose(1, 2, 3, 0), value.axes[1], axis)
        kernel = by_row.transpose(1, 2, 0, 3) if groups == 1 else conv.kernel.transpose(2, 3, 1, 0)
    bias = reader.constant(node, 2)
    bias = np.zeros(outputs) if bias is None else bias
    op = DEPTHWISE if is_depthwise else CONV
    conv = replace(conv, order=tuple(value.axes[1].index(part) for part in axis))
    ref = _add_window(reader, node, op, image, conv, (kernel, bias))
    return reader.image_value(ref, len(value.axes))


def _add_window(
    reader: OnnxReader,
    node: OnnxNode,
    op: str,
    image: Ref,
    conv: _Convolution,
    arrays: tuple[Array, Array],
) -> Ref:
    """Add a convolution, its pad before it, and the places that it leaves out behind it."""
    (kernel, bias), window = arrays, conv.window
    strides, dilation = window.strides, window.dilation
    if max(strides) > 1 and max(dilation) > 1:  # no kernel of TensorFlow has both
        kernel, dilation = _spread_kernel(kernel, dilation), (1, 1)
    every = strides
    if op == DEPTHWISE and strides[0] != strides[1]:  # TensorFlow's has one stride
        own = gcd(*strides) if image.shape[0] > 1 else strides[1]
        every = (own, own)
    pads: Pads = window.pads
    padding = "valid"
    if any(map(any, pads)):
        if is_same(window, image.shape[:2]) and every == strides:
            padding = "same"
        else:
            image = add_zero_pad(reader, f"{node.name}_padded", image, pads)
    size = tuple((k - 1) * d + 1 for k, d in zip(kernel.shape[:2], dilation, strict=True))
    places = [
        -(-length // s) if padding == "same" else (length - k) // s + 1
        for length, s, k in zip(image.shape, every, size, strict=False)
    ]
    if min(places) < 1:
        raise reader.refusal(node, "whose kernel is larger than its input")
    layer = reader.layer(node, "", op, *node.inputs[1:], conv.groups, conv.order)
    weights = reader.builder.add_weights(layer, kernel=kernel, bias=bias)
    plain: dict[str, Any] = {"strides": every, "padding": padding, "dilation": dilation}
    if op == CONV:
        plain["groups"] = conv.groups
    shape = (*places, bias.shape[0])
    ref = reader.builder.add(node.name, op, (image,), shape, plain, weights)
    steps = [whole // own for whole, own in zip(strides, every, strict=True)]
    if image.shape[0] == 1 or steps == [1, 1]:
        return ref
    parts = ((None, None, None), *((None, None, step) for step in steps), (None, None, None))
    shape = (*(-(-length // step) for length, step in zip(places, steps, strict=True)), shape[-1])
    return reader.builder.add(f"{node.name}_places", "slice", (ref,), shape, {"slices": parts})


def add_zero_pad(reader: OnnxReader, name: str, image: Ref, pads: Pads) -> Ref:
    """Pad an image with zeros."""
    height, width = (n + sum(sides) for n, sides in zip(image.shape, pads, strict=False))
    shape = (height, width, image.shape[-1])
    return reader.builder.add(name, "zero_pad", (image,), shape, {"padding": pads})


def _spread_kernel(kernel: Array, dilation: tuple[int, int]) -> Array:
    """A kernel with zeros where dilation leaves places out; height and width are the first axes."""
    sizes = [(k - 1) * d + 1 for k, d in zip(kernel.shape[:2], dilation, strict=True)]
    spread = np.zeros((*sizes, *kernel.shape[2:]), kernel.dtype)
    spread[:: dilation[0], :: dilation[1]] = kernel
    return spread


def _read_conv_transpose(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    conv = _convolution_of(reader, node)
    value, groups = conv.value, conv.groups
    inputs, by_group = conv.kernel.shape[:2]
    if inputs != value.shape[1] or inputs % groups:
        raise reader.refusal(node, "whose kernel does not fit its input")
    outputs = by_group * groups
    dense = np.zeros((inputs, outputs, *conv.kernel.shape[2:]), np.float32)
    per = inputs // groups
    for group in range(groups):
        rows = slice(group * per, (group + 1) * per)
        dense[rows, group * by_group : (group + 1) * by_group] = conv.kernel[rows]
    kernel = _spread_kernel(dense.transpose(2, 3, 1, 0), conv.window.dilation)
    image = reader.channels_last(value, f"{node.name}_in", 2)
    answer = list(reader.output_shape(node)[2:])
    answer = [1] * (2 - len(answer)) + answer
    bias = reader.constant(node, 2)
    bias = np.zeros(outputs) if bias is None else bias
    strides = conv.window.strides
    first = _pads_before(node, conv.window, image.shape, kernel.shape, answer)
    is_plain = all(
        k >= s and out == n * s and before == (k - s) // 2
        for k, s, out, n, before in zip(
            kernel.shape[:2], strides, answer, image.shape, first, strict=False
        )
    )
    # What lies beyond the last place of the kernel are zeros of a longer kernel.
    more = [
        max(before + out - (n - 1) * s, k) - k
        for k, s, out, n, before in zip(
            kernel.shape[:2], strides, answer, image.shape, first, strict=False
        )
    ]
    if not is_plain and any(more):
        kernel = np.pad(kernel, ((0, more[0]), (0, more[1]), (0, 0), (0, 0)))
    layer = reader.layer(node, "", CONV_TRANSPOSE, *node.inputs[1:], kernel.shape)
    weights = reader.builder.add_weights(layer, kernel=kernel, bias=bias)
    padding = "same" if is_plain else "valid"
    plain = {"strides": strides, "padding": padding, "dilation": (1, 1)}
    whole = [
        n * s if is_plain else n * s + max(k - s, 0)
        for n, s, k in zip(image.shape, strides, kernel.shape, strict=False)
    ]
    ref = reader.builder.add(node.name, CONV_TRANSPOSE, (image,), (*whole, outputs), plain, weights)
    if whole != answer:
        sides = tuple(
            (before, length - before - out)
            for before, length, out in zip(first, whole, answer, strict=True)
        )
        shape = (*answer, outputs)
        ref = reader.builder.add(f"{node.name}_cut", "crop", (ref,), shape, {"cropping": sides})
    return reader.image_value(ref, len(value.axes))


def _pads_before(
    node: OnnxNode,
    window: OnnxWindow,
    image: tuple[int, ...],
    kernel: tuple[int, ...],
    answer: list[int],
) -> list[int]:
    """Number of places that are cut off before each axis of a transposed convolution."""
    auto = node.text("auto_pad", "NOTSET")
    if auto in ("NOTSET", "VALID") and node.wholes("output_shape") is None:
        return [before for before, _ in window.pads]
    more = (0, 0, *(node.wholes("output_padding") or ()))[-2:]
    first = []
    for n, k, s, out, extra in zip(
        image[:2], kernel[:2], window.strides, answer, more, strict=True
    ):
        total = max((n - 1) * s + extra + k - out, 0)
        first.append(total // 2 if auto == "SAME_UPPER" else total - total // 2)
    return first


#: Op to its reader.
CONVOLUTIONS: Mapping[str, Reader] = {"Conv": _read_conv, "ConvTranspose": _read_conv_transpose}
