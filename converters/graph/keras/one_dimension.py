"""Sequences as images that are one pixel wide: TFLite, and the graph, have ops for images."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from converters.graph.builder import GraphBuilder, Ref
from converters.graph.keras.calls import Call


def as_image(builder: GraphBuilder, call: Call, source: Ref) -> Ref:
    """Bring (length, channels) to (length, 1, channels)."""
    length, channels = source.shape
    return builder.add(f"{call.name}_as_image", "reshape", (source,), (length, 1, channels))


def add_pad(
    builder: GraphBuilder,
    call: Call,
    op: str,
    sides: tuple[tuple[int, int], ...],
    **attributes: Any,
) -> Ref:
    """Add a pad of an image, or of a sequence.

    Args:
        builder: The graph so far.
        call: Call that pads.
        op: Kind of node: "zero_pad", "mirror_pad" or "constant_pad".
        sides: Number of places before and behind, for each axis between batch and channels.
        attributes: Attributes of the node besides `padding`.
    """
    (source,) = call.sources
    if len(sides) == 2:
        plain = {"padding": sides, **attributes}
        return builder.add(call.name, op, (source,), call.shape, plain)
    image, (length, channels) = as_image(builder, call, source), call.shape
    plain = {"padding": (*sides, (0, 0)), **attributes}
    padded = builder.add(call.name, op, (image,), (length, 1, channels), plain)
    return builder.add(f"{call.name}_back", "reshape", (padded,), call.shape)


def read_in_one_dimension(op: str, attribute: str, setting: str) -> Callable[..., Ref]:
    """Reader of a layer of sequences by the op for images.

    Args:
        op: Kind of node.
        attribute: Attribute of the node, one value for each axis of an image.
        setting: Setting of the layer that has its value for the axis of a sequence.
    """
    one: Any = 1 if op == "upsample" else (0, 0)

    def read(builder: GraphBuilder, call: Call) -> Ref:
        config = call.layer.get_config()
        if config.get("data_format") == "channels_first":
            raise builder.refusal(call.source_layer, "with its channels first")
        value = config[setting]
        value = tuple(value) if isinstance(value, (list, tuple)) else value
        if isinstance(value, tuple) and len(value) == 1:
            value = value[0]
        if op != "upsample" and isinstance(value, int):
            value = (value, value)
        plain: dict[str, Any] = {attribute: (value, one)}
        if op == "upsample":
            plain["interpolation"] = "nearest"
        image = as_image(builder, call, call.sources[0])
        length, channels = call.shape
        answer = builder.add(call.name, op, (image,), (length, 1, channels), plain)
        return builder.add(f"{call.name}_back", "reshape", (answer,), call.shape)

    return read


def read_repeat_vector(builder: GraphBuilder, call: Call) -> Ref:
    """Read RepeatVector: an image of one pixel, made higher."""
    length, channels = call.shape
    image = builder.add(f"{call.name}_as_image", "reshape", call.sources, (1, 1, channels))
    plain = {"size": (length, 1), "interpolation": "nearest"}
    answer = builder.add(call.name, "upsample", (image,), (length, 1, channels), plain)
    return builder.add(f"{call.name}_back", "reshape", (answer,), call.shape)
