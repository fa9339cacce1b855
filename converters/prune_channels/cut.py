"""Takes channels out of a graph: smaller weights, the same computation. NumPy only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from converters.graph.node import CONV_TRANSPOSE, DEPTHWISE, Graph, Node, Weights
from converters.prune_channels.channels import Channels

Rows = npt.NDArray[np.intp]


def without_channels(graph: Graph, channels: Channels, removed: Collection[int]) -> Graph:
    """The graph without some channels: its answers are those with these channels at zero.

    Args:
        graph: What `channels` are of.
        channels: As `channels_of` found them.
        removed: Channels of `channels.groups`.
    """
    gone = np.array(sorted(removed), np.int64)
    kept = {name: np.flatnonzero(~np.isin(of, gone)) for name, of in channels.of.items()}
    weights: dict[str, Weights] = {}
    for key, nodes in graph.uses().items():
        node = nodes[0]
        weights[key] = _cut(node, graph.weights[key], kept[node.inputs[0]], kept[node.name])
    narrowed = tuple(_narrowed(node, kept, channels) for node in graph.nodes)
    return replace(graph, nodes=narrowed, weights=weights)


def _cut(node: Node, weights: Weights, taken: Rows, given: Rows) -> Weights:
    if "alpha" in weights:
        return {"alpha": weights["alpha"][..., given]}
    kernel = weights["kernel"]
    if node.op == DEPTHWISE:
        # Channels of the output are those of the input, each `multiplier` times.
        return {"kernel": kernel[:, :, taken], "bias": weights["bias"][given]}
    if node.op == CONV_TRANSPOSE:
        return {"kernel": kernel[:, :, given][..., taken], "bias": weights["bias"][given]}
    if node.attributes.get("groups", 1) > 1:
        return weights
    return {"kernel": kernel[..., taken, :][..., given], "bias": weights["bias"][given]}


def _narrowed(node: Node, kept: Mapping[str, Rows], channels: Channels) -> Node:
    shape = (*node.shape[:-1], len(kept[node.name]))
    slices = node.attributes.get("slices", ())
    if len(slices) <= len(node.shape) or shape == node.shape:
        return replace(node, shape=shape)
    # What it takes of the channels begins after those that are left before it.
    start, width = slices[-1][0], len(channels.of[node.inputs[0]])
    first = int((kept[node.inputs[0]] < slice(start, None).indices(width)[0]).sum())
    plain = {**node.attributes, "slices": (*slices[:-1], (first, first + shape[-1], None))}
    return replace(node, shape=shape, attributes=plain)
