"""Readers of pools."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from converters.graph.builder import Ref
from converters.graph.onnx.axes import OnnxValue
from converters.graph.onnx.convolutions import add_zero_pad
from converters.graph.onnx.elementwise import multiply
from converters.graph.onnx.onnx_node import OnnxNode
from converters.graph.onnx.reader import OnnxReader
from converters.graph.onnx.windows import OnnxWindow, Pads, is_same, window_of_node

Reader = Callable[[OnnxReader, OnnxNode], OnnxValue]

_LOWEST = float(np.finfo(np.float32).min)


def _window(reader: OnnxReader, node: OnnxNode, value: OnnxValue) -> OnnxWindow:
    """The window with the pads that its places really reach, ceil_mode included."""
    size = node.wholes("kernel_shape") or ()
    if len(value.axes) not in (3, 4) or len(size) != len(value.axes) - 2:
        raise reader.refusal(node, f"of {len(size)} dimensions; one and two are known")
    if value.axes[0]:
        count = value.shape[0]
        raise reader.refusal(node, f"that takes {count} images of one sample at a time")
    window = window_of_node(node, value.shape[2:], size)
    if max(window.dilation) > 1:
        raise reader.refusal(node, "with dilation")
    image = (1, *value.shape[2:])[-2:]
    places = (1, *reader.output_shape(node)[2:])[-2:]
    pads = [
        (before, max((count - 1) * stride + size - length - before, 0))
        for count, stride, size, length, (before, _) in zip(
            places, window.strides, window.size, image, window.pads, strict=True
        )
    ]
    return replace(window, pads=(pads[0], pads[1]))


def _add_pool(
    reader: OnnxReader, node: OnnxNode, op: str, image: Ref, window: OnnxWindow, padding: str
) -> Ref:
    places = [
        -(-length // stride) if padding == "same" else (length - size) // stride + 1
        for length, stride, size in zip(image.shape, window.strides, window.size, strict=False)
    ]
    plain = {"pool": window.size, "strides": window.strides, "padding": padding}
    return reader.builder.add(node.name, op, (image,), (*places, image.shape[-1]), plain)


def _read_max_pool(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    if node.output(1):
        raise reader.refusal(node, "whose places are used, not the numbers alone")
    value = reader.floats(node, 0)
    window = _window(reader, node, value)
    image = reader.channels_last(value, f"{node.name}_in", 2)
    padding = "valid"
    if any(map(any, window.pads)):
        if is_same(window, image.shape[:2]):
            padding = "same"
        else:
            plain: dict[str, Any] = {"padding": window.pads, "value": _LOWEST}
            sizes = [n + sum(s) for n, s in zip(image.shape, window.pads, strict=False)]
            shape = (*sizes, image.shape[-1])
            name = f"{node.name}_padded"
            image = reader.builder.add(name, "constant_pad", (image,), shape, plain)
    ref = _add_pool(reader, node, "max_pool", image, window, padding)
    return reader.image_value(ref, len(value.axes))


def _read_average_pool(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value = reader.floats(node, 0)
    declared = window_of_node(node, value.shape[2:], node.wholes("kernel_shape") or ())
    window = _window(reader, node, value)
    image = reader.channels_last(value, f"{node.name}_in", 2)
    lengths = image.shape[:2]
    if not any(map(any, window.pads)):
        ref = _add_pool(reader, node, "average_pool", image, window, "valid")
        return reader.image_value(ref, len(value.axes))
    counts_pads = bool(node.whole("count_include_pad", 0))
    if not counts_pads and is_same(window, lengths):
        ref = _add_pool(reader, node, "average_pool", image, window, "same")
        return reader.image_value(ref, len(value.axes))
    image = add_zero_pad(reader, f"{node.name}_padded", image, window.pads)
    ref = _add_pool(
        reader, replace(node, name=f"{node.name}_sums"), "average_pool", image, window, "valid"
    )
    pooled = reader.image_value(ref, len(value.axes))
    shares = _shares(window, declared.pads if counts_pads else ((0, 0), (0, 0)), lengths)
    factors = (1 / shares).reshape(shares.shape[-(len(value.axes) - 2) :])
    return multiply(reader, node, pooled, factors)


def _shares(window: OnnxWindow, counted: Pads, lengths: tuple[int, ...]) -> Any:
    """Share of each place's window that is counted, shape (height, width)."""
    by_axis = []
    for axis in range(2):
        (before, behind), size = window.pads[axis], window.size[axis]
        length, (first, last) = lengths[axis], counted[axis]
        inside = np.zeros(before + length + behind)
        inside[before - min(first, before) : before + length + min(last, behind)] = 1
        starts = range(0, len(inside) - size + 1, window.strides[axis])
        by_axis.append(np.array([inside[start : start + size].sum() / size for start in starts]))
    return np.outer(*by_axis)


def _read_global(op: str) -> Reader:
    def read(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
        value = reader.floats(node, 0)
        if len(value.axes) < 3 or value.axes[0]:
            raise reader.refusal(node, f"of a tensor of the shape {list(value.shape)}")
        spatial = [axis for axis in value.axes[2:] if axis]
        axes = ((), value.axes[1], *((),) * (len(value.axes) - 2))
        kept = value.in_stored_order(value.axes[1])
        if not spatial:
            return value
        own = [value.in_stored_order(axis) for axis in spatial]
        if len(own) == 2 and value.groups() == (own[1], own[0], kept):
            own.reverse()
        groups = own if len(own) < 3 else [value.without_parts(kept)]
        image = reader.arrange(value, [*groups, kept], f"{node.name}_in")
        plain = {"rank": len(groups), "keepdims": False}
        ref = reader.builder.add(node.name, op, (image,), (image.shape[-1],), plain)
        return OnnxValue(ref, kept, axes)

    return read


#: Op to its reader.
POOLS: Mapping[str, Reader] = {
    "MaxPool": _read_max_pool,
    "AveragePool": _read_average_pool,
    "GlobalAveragePool": _read_global("global_average_pool"),
    "GlobalMaxPool": _read_global("global_max_pool"),
}
