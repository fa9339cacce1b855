"""Readers of pads and of changes of an image's size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from converters.graph.onnx.axes import Axis, OnnxValue, flatten, new_axis
from converters.graph.onnx.moves import take
from converters.graph.onnx.onnx_node import OnnxNode
from converters.graph.onnx.reader import OnnxReader

Reader = Callable[[OnnxReader, OnnxNode], OnnxValue]

#: Most places that are repeated at an edge: each is a pad of its own.
_MOST_EDGES = 8
_HALF_PIXEL = ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric")


def _pad(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value = reader.floats(node, 0)
    rank, mode = len(value.axes), node.text("mode", "constant")
    if node.opset < 11:
        widths, number = node.wholes("pads") or (), node.number("value", 0.0)
        axes: tuple[int, ...] = tuple(range(rank))
    else:
        pads, constant = reader.constant(node, 1), reader.constant(node, 2)
        widths = () if pads is None else tuple(int(width) for width in pads.reshape(-1))
        number = 0.0 if constant is None or not constant.size else float(constant.reshape(-1)[0])
        chosen = reader.constant(node, 3)
        axes = tuple(range(rank)) if chosen is None else tuple(int(a) % rank for a in chosen)
    sides = {axis: (widths[place], widths[place + len(axes)]) for place, axis in enumerate(axes)}
    for axis, (before, behind) in sides.items():
        if min(before, behind) < 0:
            size = value.shape[axis]
            part = (max(-before, 0), size - max(-behind, 0), 1)
            value = take(reader, f"{node.name}_cut_{axis}", value, axis, part)
    wider = {a: (max(b, 0), max(e, 0)) for a, (b, e) in sides.items() if max(b, e) > 0}
    return pad_axes(reader, node, value, wider, mode, number)


def pad_axes(
    reader: OnnxReader,
    node: OnnxNode,
    value: OnnxValue,
    sides: Mapping[int, tuple[int, int]],
    mode: str = "constant",
    number: float = 0.0,
) -> OnnxValue:
    """Pad some axes of a tensor.

    Args:
        reader: The model so far.
        node: Node that pads.
        value: The tensor.
        sides: Axis of the ONNX tensor to the numbers of places before and behind it.
        mode: "constant", "reflect" or "edge".
        number: Number in the padded places, of the mode "constant".

    Raises:
        ConversionError: The graph has no such mode; the message names the node.
    """
    if mode == "constant":
        op = "constant_pad" if number else "zero_pad"
        plain: dict[str, Any] = {"value": number} if number else {}
    elif mode in ("reflect", "edge"):
        op, plain = "mirror_pad", {"mode": "reflect" if mode == "reflect" else "symmetric"}
    else:
        raise reader.refusal(node, f"of the mode {mode}")
    if mode == "edge" and any(max(pair) > 1 for pair in sides.values()):
        return _pad_edges(reader, node, value, sides)
    for axis in sides:
        value = reader.join_axis(value, axis, f"{node.name}_in")
    pending = dict(sides)
    while pending:
        first = value.stored[:2]
        pair = [a for part in first for a in pending if value.axes[a] == (part,)]
        chosen = pair if len(pair) == 2 and len(pending) == 2 else [next(iter(pending))]
        widths = [pending.pop(axis) for axis in chosen]
        value = _add_pad(reader, node, value, chosen, widths, op, plain)
    return value


def _pad_edges(
    reader: OnnxReader, node: OnnxNode, value: OnnxValue, sides: Mapping[int, tuple[int, int]]
) -> OnnxValue:
    """Repeat the outermost place as often as needed, one pad after another."""
    count = max(max(pair) for pair in sides.values())
    if count > _MOST_EDGES:
        raise reader.refusal(node, f"of the mode edge by more than {_MOST_EDGES} places")
    for number in range(count):
        ring = {
            axis: (int(before > number), int(behind > number))
            for axis, (before, behind) in sides.items()
            if max(before, behind) > number
        }
        value = pad_axes(reader, replace(node, name=f"{node.name}_{number}"), value, ring, "edge")
    return value


def _add_pad(
    reader: OnnxReader,
    node: OnnxNode,
    value: OnnxValue,
    axes: list[int],
    widths: list[tuple[int, int]],
    op: str,
    plain: Mapping[str, Any],
) -> OnnxValue:
    """Pad the first two parts, or one part as the middle axis of three."""
    parts = flatten([value.axes[axis] for axis in axes])
    if len(axes) == 2:
        before: Axis = ()
        rest = value.stored[2:]
        groups: list[Axis] = [parts[:1], parts[1:], rest]
        padding = tuple(widths)
    else:
        place = value.stored.index(parts[0]) if parts else 0
        before, rest = value.stored[:place], value.stored[place + len(parts) :]
        groups = [before, parts, rest]
        padding = ((0, 0), widths[0])
    source = reader.arrange(value, groups, f"{node.name}_in")
    shape = (*(n + sum(w) for n, w in zip(source.shape, padding, strict=False)), source.shape[2])
    ref = reader.builder.add(node.name, op, (source,), shape, {"padding": padding, **plain})
    sizes = shape[:2] if len(axes) == 2 else shape[1:2]
    new = {axis: new_axis(size) for axis, size in zip(axes, sizes, strict=True)}
    stored = (*before, *flatten(list(new.values())), *rest)
    return OnnxValue(ref, stored, tuple(new.get(i, old) for i, old in enumerate(value.axes)))


def _resize(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value, answer = reader.floats(node, 0), reader.output_shape(node)
    rank = len(value.axes)
    if rank not in (3, 4) or answer[:2] != value.shape[:2]:
        raise reader.refusal(node, "of other axes than height and width")
    default = "half_pixel" if node.opset >= 11 else "asymmetric"
    where = node.text("coordinate_transformation_mode", default)
    mode, rounding = node.text("mode", "nearest"), node.text("nearest_mode", "round_prefer_floor")
    if node.opset < 11:
        rounding = "floor"
    if node.whole("antialias", 0):
        raise reader.refusal(node, "with antialias")
    pairs = list(zip(value.shape[2:], answer[2:], strict=True))
    if all(old == new for old, new in pairs):
        return value
    if mode == "nearest":
        plain_answer = _nearest(reader, node, value, pairs, (where, rounding))
        if plain_answer is not None:
            return plain_answer
    is_known = mode == "linear" or mode == "nearest" and rounding.startswith("round")
    if not is_known or where not in _HALF_PIXEL or rank != 4:
        raise reader.refusal(
            node,
            f"of the mode {mode}, {where}, {rounding}" if mode == "nearest" else f"{mode}, {where}",
            "Export it with half-pixel centres: in PyTorch, interpolate(…, align_corners=False).",
        )
    image = reader.channels_last(value, f"{node.name}_in", 2)
    height, width = answer[2:]
    plain = {
        "height": height,
        "width": width,
        "interpolation": "bilinear" if mode == "linear" else "nearest",
    }
    shape = (height, width, image.shape[-1])
    ref = reader.builder.add(node.name, "resize", (image,), shape, plain)
    return reader.image_value(ref, rank)


def _nearest(
    reader: OnnxReader,
    node: OnnxNode,
    value: OnnxValue,
    pairs: list[tuple[int, int]],
    rule: tuple[str, str],
) -> OnnxValue | None:
    """Repeat or leave out pixels, where the size changes by a whole factor; None elsewhere."""
    where, rounding = rule
    if all(new % old == 0 for old, new in pairs):
        factors = tuple(new // old for old, new in pairs)
        exact = where in _HALF_PIXEL and rounding.startswith("round")
        exact |= rule == ("asymmetric", "floor")
        exact |= rule == ("asymmetric", "round_prefer_floor") and max(factors) == 2
        return _repeat_pixels(reader, node, value, factors) if exact else None
    if rule == ("asymmetric", "floor") and all(old % new == 0 for old, new in pairs):
        for axis, (old, new) in enumerate(pairs, start=2):
            value = take(reader, f"{node.name}_{axis}", value, axis, (0, None, old // new))
        return value
    return None


def _repeat_pixels(
    reader: OnnxReader, node: OnnxNode, value: OnnxValue, factors: tuple[int, ...]
) -> OnnxValue:
    image = reader.channels_last(value, f"{node.name}_in", 2)
    size = (1, *factors)[-2:]
    shape = tuple(int(n) for n in np.multiply(image.shape, (*size, 1)))
    plain = {"size": size, "interpolation": "nearest"}
    ref = reader.builder.add(node.name, "upsample", (image,), shape, plain)
    return reader.image_value(ref, len(value.axes))


#: Op to its reader.
PADS: Mapping[str, Reader] = {"Pad": _pad, "Resize": _resize, "Upsample": _resize}
