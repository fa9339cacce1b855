"""Puts BatchNormalization, and whatever else is x * scale + offset, into a neighbour's weights.

Behind a convolution or Dense:  W' = W * scale (by output channel),  b' = b * scale + offset.
Before one:                     W' = W * scale (by input channel),   b' = b + sum(W * offset),
which is exact as long as nothing is padded with zeros in between. What is left becomes a depthwise
convolution of 1x1, which every technique knows.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
import numpy.typing as npt

from converters.graph.node import (
    ACTIVATION,
    AFFINE,
    CONV,
    CONV_TRANSPOSE,
    DENSE,
    DEPTHWISE,
    EPSILON,
    NORM,
    RECURRENT,
    WEIGHTED,
    Graph,
    Node,
    Weights,
    join_nodes,
    replace_node,
    with_weights,
    without,
)
from converters.graph.pads import replace_extreme_pads

Doubles = npt.NDArray[np.float64]

#: Averages and copies channels: x * scale + offset may as well come after it.
_LINEAR = ("global_average_pool", "flatten")
#: Give s * y where their first input is s * x.
_LINEAR_MOVES = ("matmul", "reshape", "permute", "flatten", "slice", "crop", "zero_pad", "mean")


def fold_graph(graph: Graph) -> Graph:
    """Make a graph of the same answers without any AFFINE and any NORM."""
    graph = _with_affines(graph)
    for name in [node.name for node in graph.nodes if node.op == AFFINE]:
        node = graph.by_name()[name]
        graph = (
            _into_the_one_before(graph, node)
            or _into_the_one_behind(graph, node)
            or _into_a_factor(graph, node)
            or graph
        )
    for name in [node.name for node in graph.nodes if node.op == AFFINE]:
        node = graph.by_name()[name]
        # Of two that follow each other, the first is a depthwise convolution by now.
        graph = _into_the_one_before(graph, node) or _as_depthwise(graph, node)
    return replace_extreme_pads(_join_activations(graph))


def spread_affines(graph: Graph) -> Graph:
    """Make a depthwise convolution of every AFFINE; all other nodes keep their answers.

    Args:
        graph: Graph that was not folded, without any NORM.
    """
    for name in [node.name for node in graph.nodes if node.op == AFFINE]:
        graph = _as_depthwise(graph, graph.by_name()[name])
    return graph


def _join_activations(graph: Graph) -> Graph:
    """Leave one of several equal activations of one output, as TensorFlow's converter does."""
    first: dict[str, Node] = {}
    for node in graph.nodes:
        if node.op != ACTIVATION or node.name in graph.outputs:
            continue
        inputs = graph.by_name()[node.name].inputs
        kept = first.setdefault(f"{inputs} {sorted(node.attributes.items())}", node)
        if kept is not node:
            graph = join_nodes(graph, node.name, kept.name)
    return graph


def _with_affines(graph: Graph) -> Graph:
    """The graph with an AFFINE in the place of every NORM."""
    weights = dict(graph.weights)
    for key in {node.weights for node in graph.nodes if node.op == NORM}:
        norm = graph.weights[key]
        variance = norm["moving_variance"].astype(np.float64)
        scale = norm["gamma"] / np.sqrt(variance + EPSILON)
        offset = norm["beta"] - norm["moving_mean"] * scale
        weights[key] = {"scale": scale.astype(np.float32), "offset": offset.astype(np.float32)}
    nodes = tuple(replace(node, op=AFFINE) if node.op == NORM else node for node in graph.nodes)
    return replace(graph, nodes=nodes, weights=weights)


def _into_the_one_before(graph: Graph, affine: Node) -> Graph | None:
    source, nodes, consumers = affine, graph.by_name(), graph.consumers()
    while source is affine or source.op == "reshape" and source.shape[-1] == affine.shape[-1]:
        source = nodes[source.inputs[0]]
        if len(consumers[source.name]) != 1 or source.name in graph.outputs:
            return None
    if source.op not in WEIGHTED or not _owned(graph, source):
        return None
    if source.shape[-1] != affine.shape[-1]:  # a reshape in between made channels of places
        return None
    scale, offset = _of(graph, affine)
    old = graph.weights[source.weights]
    kernel, bias = old["kernel"].astype(np.float64), old["bias"].astype(np.float64)
    by_output = _by_output(source.op, kernel, scale)
    return _changed(graph, affine, source, kernel * by_output, bias * scale + offset)


def _into_a_factor(graph: Graph, affine: Node) -> Graph | None:
    """Multiply one factor of a product of matrices by a number, where a kernel makes it."""
    scale, offset = _of(graph, affine)
    source, nodes, consumers = affine, graph.by_name(), graph.consumers()
    while source is affine or source.op in _LINEAR_MOVES:
        source = nodes[source.inputs[0]]
        if len(consumers[source.name]) != 1 or source.name in graph.outputs:
            return None
    if source.op not in WEIGHTED or not _owned(graph, source) or offset.any() or np.ptp(scale):
        return None
    old = graph.weights[source.weights]
    kernel, bias = old["kernel"].astype(np.float64), old["bias"].astype(np.float64)
    return _changed(graph, affine, source, kernel * scale[0], bias * scale[0])


def _by_output(op: str, kernel: Doubles, scale: Doubles) -> Doubles:
    """A factor for each output channel, in the kernel's shape."""
    if op == DEPTHWISE:
        return scale.reshape(kernel.shape[-2:])
    return scale[:, None] if op == CONV_TRANSPOSE else scale


def _into_the_one_behind(graph: Graph, affine: Node) -> Graph | None:
    consumers = graph.consumers()
    node = affine
    while node.name not in graph.outputs and len(consumers[node.name]) == 1:
        node = consumers[node.name][0]
        if node.op not in _LINEAR:
            break
    unpadded = node.attributes.get("padding", "valid") == "valid"
    grouped = node.attributes.get("groups", 1) != 1
    fits = node.op in (CONV, DENSE, DEPTHWISE, *RECURRENT) and unpadded and not grouped
    if not fits or not _owned(graph, node):
        return None
    old = graph.weights[node.weights]
    kernel, bias = old["kernel"].astype(np.float64), old["bias"].astype(np.float64)
    inputs = kernel.shape[-2]
    # A flattened image repeats its channels, the channel running fastest.
    scale, offset = (np.tile(array, inputs // array.size) for array in _of(graph, affine))
    added = kernel * offset[:, None]
    if node.op == DEPTHWISE:
        bias = bias + added.sum(axis=(0, 1)).reshape(-1)
    elif bias.ndim == 2:  # of a GRU: first the bias of the inputs, then that of the state
        bias = bias + np.stack([added.sum(axis=0), np.zeros(kernel.shape[-1])])
    else:
        bias = bias + added.reshape(-1, kernel.shape[-1]).sum(axis=0)
    return _changed(graph, affine, node, kernel * scale[:, None], bias)


def _owned(graph: Graph, node: Node) -> bool:
    """Whether nobody else uses its weights."""
    return len(graph.uses()[node.weights]) == 1


def _of(graph: Graph, affine: Node) -> tuple[Doubles, Doubles]:
    weights = graph.weights[affine.weights]
    return weights["scale"].astype(np.float64), weights["offset"].astype(np.float64)


def _changed(graph: Graph, affine: Node, node: Node, kernel: Doubles, bias: Doubles) -> Graph:
    new = {"kernel": kernel.astype(np.float32), "bias": bias.astype(np.float32)}
    new = {**graph.weights[node.weights], **new}
    changed = with_weights(graph, {**graph.weights, node.weights: new})
    return without(changed, affine.name)


def _as_depthwise(graph: Graph, affine: Node) -> Graph:
    old = graph.weights[affine.weights]
    if "scale" in old:  # once for all uses of a shared layer
        kernel = old["scale"].reshape(1, 1, -1, 1)
        new: Weights = {"kernel": kernel, "bias": old["offset"]}
        graph = with_weights(graph, {**graph.weights, affine.weights: new})
    ones = (1, 1)
    plain = {"strides": ones, "padding": "valid", "dilation": ones}
    depthwise = replace(affine, op=DEPTHWISE, attributes=plain)
    if len(affine.shape) == 3:
        return replace_node(graph, affine.name, [depthwise])
    image = (prod(affine.shape[:-1]), 1, affine.shape[-1])
    before = Node(f"{affine.name}_as_image", "reshape", affine.inputs, image)
    depthwise = replace(depthwise, inputs=(before.name,), shape=image)
    after = Node(f"{affine.name}_back", "reshape", (depthwise.name,), affine.shape)
    return replace_node(graph, affine.name, [before, depthwise, after])
