"""Graphs with a smaller input, or with a larger stride in the first convolution. NumPy only."""

from __future__ import annotations

from dataclasses import replace

from converters.errors import ConversionError
from converters.graph.node import CONV, DEPTHWISE, Graph, Node
from converters.graph.resized_input import SAMPLE_SHAPE, shape_of_samples
from converters.graph.shapes import with_new_shapes

_SMALLER_HINT = (
    "Use `channels` or `blocks`, which leave all sizes; or a network that ends in a global pooling."
)
_STRIDE_HINT = f"Use the step `resolution`. {_SMALLER_HINT}"


def with_smaller_input(graph: Graph, ratio: float, origin: str) -> Graph:
    """Give a graph a smaller input; models built from it resize the samples themselves.

    Args:
        graph: Folded graph.
        ratio: Share of the height and width, or of the length of a series, that is left, 0-1.
        origin: Name of the model in messages.

    Raises:
        ConversionError: The model does not take one picture or one series of real numbers, its
            input would not get smaller, or a layer does not take the new size.
    """
    node = _only_input(graph, origin)
    sizes = tuple(max(1, round(size * ratio)) if size > 1 else 1 for size in node.shape[:-1])
    shape = (*sizes, node.shape[-1])
    if shape == node.shape:
        raise ConversionError(
            f"{origin}: its input of {node.shape} stays as it is with a ratio of {ratio:g}",
            "Write a smaller `ratio`.",
        )
    attributes = {**node.attributes, SAMPLE_SHAPE: shape_of_samples(node)}
    smaller = replace(node, shape=shape, attributes=attributes)
    return with_new_shapes(graph, {node.name: smaller}, origin, _SMALLER_HINT)


def with_wider_stem(graph: Graph, factor: int, origin: str) -> tuple[Graph, str]:
    """Give the first convolution of a graph a larger stride.

    Args:
        graph: Folded graph.
        factor: Factor of its stride.
        origin: Name of the model in messages.

    Returns:
        The graph, and the name of the convolution.

    Raises:
        ConversionError: There is no such convolution, or a layer behind it does not take the new
            size.
    """
    stem = next((node for node in graph.nodes if _looks_around(node, graph)), None)
    if stem is None:
        raise ConversionError(
            f"{origin}: has no convolution of more than 1×1 whose stride could grow", _SMALLER_HINT
        )
    size = graph.by_name()[stem.inputs[0]].shape
    strides = tuple(
        stride * factor if size[axis] > 1 else stride
        for axis, stride in enumerate(stem.attributes["strides"])
    )
    if stem.attributes["dilation"] != (1, 1):
        raise ConversionError(
            f"{origin}: its first convolution, {stem.name!r}, is dilated, which TensorFlow does "
            "not combine with a stride",
            _STRIDE_HINT,
        )
    if stem.op == DEPTHWISE and strides[0] != strides[1]:
        raise ConversionError(
            f"{origin}: its first convolution, {stem.name!r}, is depthwise, and would have the "
            f"strides {strides[0]} and {strides[1]}: TensorFlow has only equal ones",
            _STRIDE_HINT,
        )
    wider = replace(stem, attributes={**stem.attributes, "strides": strides})
    return with_new_shapes(graph, {stem.name: wider}, origin, _STRIDE_HINT), stem.name


def _only_input(graph: Graph, origin: str) -> Node:
    nodes = [graph.by_name()[name] for name in graph.inputs]
    if len(nodes) != 1:
        reason = f"has {len(nodes)} inputs, and kedge cannot know which of them may be resized"
    elif "dtype" in nodes[0].attributes:
        reason = "takes whole numbers, whose means are none"
    elif len(nodes[0].shape) not in (2, 3):
        reason = f"takes {nodes[0].shape}, which is neither a picture nor a series"
    else:
        return nodes[0]
    raise ConversionError(f"{origin}: {reason}", _SMALLER_HINT)


def _looks_around(node: Node, graph: Graph) -> bool:
    """Whether a node is a convolution that sees more than one place."""
    if node.op not in (CONV, DEPTHWISE):
        return False
    return max(graph.weights[node.weights]["kernel"].shape[:2]) > 1
