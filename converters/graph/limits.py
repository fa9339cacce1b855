"""Activations that the graph expresses by a ReLU between two multiplications and additions."""

from __future__ import annotations

from converters.graph.builder import GraphBuilder, Ref, SourceLayer


def add_clip(
    builder: GraphBuilder,
    layer: SourceLayer,
    source: Ref,
    low: float,
    high: float,
    scale: float = 1.0,
    offset: float = 0.0,
) -> Ref:
    """Add scale * x + offset, limited to low..high, as a ReLU6 between two multiplications."""
    span = (high - low) / 6
    before = (scale / span, (offset - low) / span)
    return scaled_activation(builder, layer, source, "relu6", before, (span, low))


def add_limit(builder: GraphBuilder, layer: SourceLayer, op: str, source: Ref, limit: float) -> Ref:
    """Add the maximum or minimum of a tensor and a number: a ReLU between two shifts.

    Args:
        builder: The graph so far.
        layer: Layer that limits the numbers.
        op: "maximum" or "minimum".
        source: Numbers that are limited.
        limit: The number.
    """
    sign = 1.0 if op == "maximum" else -1.0
    # max(x, c) = relu(x - c) + c, and min(x, c) = c - relu(c - x).
    if limit == 0 and sign == 1:
        return builder.activation(layer.name, source, "relu")
    return scaled_activation(builder, layer, source, "relu", (sign, -sign * limit), (sign, limit))


def scaled_activation(
    builder: GraphBuilder,
    layer: SourceLayer,
    source: Ref,
    function: str,
    before: tuple[float, float],
    behind: tuple[float, float],
) -> Ref:
    """Add an activation between two multiplications and additions, by a number each.

    Args:
        builder: The graph so far.
        layer: Layer that has the activation.
        source: Numbers that it is applied to.
        function: Name of the activation.
        before: Scale and offset of what the activation takes.
        behind: Scale and offset of what it gives.
    """
    parts = [
        SourceLayer(f"{layer.name}_{part}", layer.kind, object()) for part in ("scaled", "back")
    ]
    if before != (1.0, 0.0):
        source = builder.affine(parts[0], source, *before)
    answer = builder.activation(f"{layer.name}_{function}", source, function)
    return builder.affine(parts[1], answer, *behind) if behind != (1.0, 0.0) else answer
