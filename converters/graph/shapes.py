"""Shapes of a graph's nodes after a change of its input or of a stride. NumPy only.

Only sizes change, never channels: the weights of every layer stay as they are. A pooling whose
window covers its whole input goes on to cover it, as a global pooling does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from converters.errors import ConversionError
from converters.graph.node import (
    ACTIVATION,
    AFFINE,
    CONCAT,
    CONV,
    CONV_TRANSPOSE,
    DENSE,
    DEPTHWISE,
    ELEMENTWISE,
    INPUT,
    NORM,
    RECURRENT,
    Graph,
    Node,
    Weights,
)

Shape = tuple[int, ...]
#: Function of a node, the new shapes of its inputs and its weights to its new shape.
_Infer = Callable[[Node, Sequence[Shape], Weights], Shape]

_POOLS = ("max_pool", "average_pool")


def with_new_shapes(graph: Graph, changes: Mapping[str, Node], origin: str, hint: str) -> Graph:
    """Replace nodes by ones of other sizes, and adapt the shapes of all that follow.

    Args:
        graph: Folded graph.
        changes: Name of each node that changes to the new node. The shape of a new input counts;
            those of other nodes are computed from their inputs.
        origin: Name of the model in messages.
        hint: Hint of the error.

    Raises:
        ConversionError: A node needs the size that it had, or the answers would have another
            shape; the message names the node.
    """
    before = graph.by_name()
    nodes: dict[str, Node] = {}
    for old in graph.nodes:
        node = changes.get(old.name, old)
        inputs = [nodes[name].shape for name in node.inputs]
        old_inputs = [before[name].shape for name in old.inputs]
        if node.op != INPUT and (node is not old or inputs != old_inputs):
            try:
                node = _adapt(node, inputs, old_inputs, graph.weights.get(node.weights, {}))
            except ValueError as error:
                raise ConversionError(
                    f"{origin}: layer {node.name!r} ({node.words}) {error}", hint
                ) from error
        nodes[node.name] = node
    for name in graph.outputs:
        if nodes[name].shape != before[name].shape:
            raise ConversionError(
                f"{origin}: the output of layer {name!r} would have the shape {nodes[name].shape}, "
                f"not {before[name].shape}: its size depends on that of the input",
                hint,
            )
    return replace(graph, nodes=tuple(nodes.values()))


def _adapt(
    node: Node, inputs: Sequence[Shape], old_inputs: Sequence[Shape], weights: Weights
) -> Node:
    """The node for inputs of these shapes; a ValueError says what it cannot take."""
    if node.op in _POOLS:
        node = _covering(node, inputs[0], old_inputs[0])
    if node.op == "reshape":
        return replace(node, shape=_reshaped(node, inputs[0], old_inputs[0]))
    if node.op not in _INFER:
        raise ValueError(f"is for an input of the shape {old_inputs[0]} alone, not {inputs[0]}")
    shape = _INFER[node.op](node, inputs, weights)
    if min(shape, default=1) < 1:
        raise ValueError(f"leaves nothing of an input of the shape {inputs[0]}: it is too small")
    return replace(node, shape=shape)


def _covering(node: Node, shape: Shape, old_shape: Shape) -> Node:
    """A pooling whose window covers the input as far as it did before."""
    pool, strides = list(node.attributes["pool"]), list(node.attributes["strides"])
    for axis, (size, old_size) in enumerate(zip(shape[:-1], old_shape[:-1], strict=True)):
        if pool[axis] == old_size and node.shape[axis] == 1:
            pool[axis], strides[axis] = size, size
    plain: dict[str, Any] = {"pool": tuple(pool), "strides": tuple(strides)}
    return replace(node, attributes={**node.attributes, **plain})


def _reshaped(node: Node, shape: Shape, old_shape: Shape) -> Shape:
    """A reshape that only adds or takes away axes of 1, as around a convolution of a series."""
    if prod(shape) == prod(node.shape):
        return node.shape
    if node.shape == (1, *old_shape):
        return (1, *shape)
    if old_shape == (1, *node.shape) and shape[0] == 1:
        return shape[1:]
    raise ValueError(f"makes {node.shape} of {old_shape}, which {shape} does not fill")


def _window(node: Node, inputs: Sequence[Shape], kernel: Sequence[int]) -> Shape:
    plain = node.attributes
    dilation = plain.get("dilation", (1, 1))
    sizes = []
    for axis, size in enumerate(inputs[0][:-1]):
        stride = plain["strides"][axis]
        if plain["padding"] == "valid":
            size -= (kernel[axis] - 1) * dilation[axis]  # noqa: PLW2901 - places of the window
        sizes.append(-(-size // stride))
    return tuple(sizes)


def _conv(node: Node, inputs: Sequence[Shape], weights: Weights) -> Shape:
    return (*_window(node, inputs, weights["kernel"].shape), node.shape[-1])


def _conv_transpose(node: Node, inputs: Sequence[Shape], weights: Weights) -> Shape:
    plain, kernel = node.attributes, weights["kernel"].shape
    sizes = [
        size * stride + (max(kernel[axis] - stride, 0) if plain["padding"] == "valid" else 0)
        for axis, (size, stride) in enumerate(zip(inputs[0][:-1], plain["strides"], strict=True))
    ]
    return (*sizes, node.shape[-1])


def _pool(node: Node, inputs: Sequence[Shape], _: Weights) -> Shape:
    return (*_window(node, inputs, node.attributes["pool"]), inputs[0][-1])


def _global_pool(node: Node, inputs: Sequence[Shape], _: Weights) -> Shape:
    ones = (1,) * node.attributes["rank"] if node.attributes["keepdims"] else ()
    return (*ones, inputs[0][-1])


def _pad(node: Node, inputs: Sequence[Shape], _: Weights) -> Shape:
    (top, bottom), (left, right) = node.attributes["padding"]
    height, width, channels = inputs[0]
    return (height + top + bottom, width + left + right, channels)


def _crop(node: Node, inputs: Sequence[Shape], _: Weights) -> Shape:
    (top, bottom), (left, right) = node.attributes["cropping"]
    height, width, channels = inputs[0]
    return (height - top - bottom, width - left - right, channels)


def _upsample(node: Node, inputs: Sequence[Shape], _: Weights) -> Shape:
    factors = node.attributes["size"]
    sizes = (size * factor for size, factor in zip(inputs[0][:-1], factors, strict=True))
    return (*sizes, inputs[0][-1])


def _resize(node: Node, inputs: Sequence[Shape], _: Weights) -> Shape:
    return (node.attributes["height"], node.attributes["width"], inputs[0][-1])


def _elementwise(_node: Node, inputs: Sequence[Shape], _: Weights) -> Shape:
    shape = max(inputs, key=prod)
    for other in inputs:
        fits = len(other) == len(shape) and all(
            size in (1, whole) for size, whole in zip(other, shape, strict=False)
        )
        if not fits and other != shape[-1:]:
            raise ValueError(f"gets inputs of different sizes, {inputs[0]} and {inputs[1]}")
    return shape


def _concat(node: Node, inputs: Sequence[Shape], _: Weights) -> Shape:
    axis = node.attributes["axis"]
    place = axis - 1 if axis > 0 else len(inputs[0]) + axis
    rests = {shape[:place] + shape[place + 1 :] for shape in inputs}
    if len(rests) > 1:
        raise ValueError(f"gets inputs of different sizes, {inputs[0]} and {inputs[1]}")
    shape = list(inputs[0])
    shape[place] = sum(one[place] for one in inputs)
    return tuple(shape)


def _prelu(_node: Node, inputs: Sequence[Shape], weights: Weights) -> Shape:
    alpha = weights["alpha"].shape
    if any(size not in (1, whole) for size, whole in zip(alpha, inputs[0], strict=True)):
        raise ValueError(f"has a number for each place of {alpha}, its input is {inputs[0]}")
    return inputs[0]


def _dense(node: Node, inputs: Sequence[Shape], weights: Weights) -> Shape:
    expected = weights["kernel"].shape[0]
    if inputs[0][-1] != expected:
        raise ValueError(f"takes {expected} numbers, not {inputs[0][-1]}")
    return (*inputs[0][:-1], node.shape[-1])


def _mean(node: Node, inputs: Sequence[Shape], _: Weights) -> Shape:
    axes = {axis % (len(inputs[0]) + 1) for axis in node.attributes["axes"]}
    keeps = node.attributes["keepdims"]
    return tuple(
        1 if axis in axes else size
        for axis, size in enumerate(inputs[0], start=1)
        if keeps or axis not in axes
    )


def _recurrent(node: Node, inputs: Sequence[Shape], _: Weights) -> Shape:
    return (inputs[0][0], *node.shape[1:]) if node.attributes["sequences"] else node.shape


def _permute(node: Node, inputs: Sequence[Shape], _: Weights) -> Shape:
    return tuple(inputs[0][dim - 1] for dim in node.attributes["dims"])


def _alike(_node: Node, inputs: Sequence[Shape], _: Weights) -> Shape:
    return inputs[0]


#: Op to what computes its shape. Ops that are missing, such as `slice` and `add_constant`, are made
#: for one size.
_INFER: dict[str, _Infer] = {
    CONV: _conv,
    DEPTHWISE: _conv,
    CONV_TRANSPOSE: _conv_transpose,
    DENSE: _dense,
    **dict.fromkeys(_POOLS, _pool),
    **dict.fromkeys(("global_average_pool", "global_max_pool"), _global_pool),
    **dict.fromkeys(("zero_pad", "mirror_pad", "constant_pad"), _pad),
    **dict.fromkeys(ELEMENTWISE, _elementwise),
    **dict.fromkeys((ACTIVATION, AFFINE, NORM, "layer_norm", "group_norm", "unit_norm"), _alike),
    **dict.fromkeys(RECURRENT, _recurrent),
    CONCAT: _concat,
    "crop": _crop,
    "upsample": _upsample,
    "resize": _resize,
    "prelu": _prelu,
    "mean": _mean,
    "permute": _permute,
    "flatten": lambda _node, inputs, _: (prod(inputs[0]),),
}
