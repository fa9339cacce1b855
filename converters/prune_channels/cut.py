"""Removal of channels from a graph: smaller weights, the same computation. NumPy only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from converters.graph.node import CONV_TRANSPOSE, DEPTHWISE, RECURRENT, Graph, Node, Weights
from converters.prune_channels.channels import Channels

Rows = npt.NDArray[np.intp]


def without_channels(graph: Graph, channels: Channels, channel_numbers: Collection[int]) -> Graph:
    """Remove channels from a graph: its answers are those with these channels at zero.

    Args:
        graph: Graph of `channels`.
        channels: Channels of the graph, from `channels_of`.
        channel_numbers: Channels to remove, from `channels.groups`.
    """
    numbers = np.array(sorted(channel_numbers), np.int64)
    rows = {name: np.flatnonzero(~np.isin(of, numbers)) for name, of in channels.of.items()}
    weights: dict[str, Weights] = {}
    for key, nodes in graph.uses().items():
        node = nodes[0]
        weights[key] = _cut(node, graph.weights[key], rows[node.inputs[0]], rows[node.name])
    narrowed = tuple(_narrow_node(node, rows, channels) for node in graph.nodes)
    return replace(graph, nodes=narrowed, weights=weights)


def _cut(node: Node, weights: Weights, input_rows: Rows, output_rows: Rows) -> Weights:
    if "alpha" in weights:
        return {"alpha": weights["alpha"][..., output_rows]}
    if "table" in weights:
        return {"table": weights["table"][:, output_rows]}
    if "kernel" not in weights:  # a normalization over a sample, whose channels all stay
        return weights
    kernel = weights["kernel"]
    if node.op in RECURRENT:
        return {**weights, "kernel": kernel[input_rows]}
    if node.op == DEPTHWISE:
        # The channels of the output are those of the input, each `multiplier` times.
        return {"kernel": kernel[:, :, input_rows], "bias": weights["bias"][output_rows]}
    if node.op == CONV_TRANSPOSE:
        return {
            "kernel": kernel[:, :, output_rows][..., input_rows],
            "bias": weights["bias"][output_rows],
        }
    if node.attributes.get("groups", 1) > 1:
        return weights
    return {
        "kernel": kernel[..., input_rows, :][..., output_rows],
        "bias": weights["bias"][output_rows],
    }


def _narrow_node(node: Node, rows: Mapping[str, Rows], channels: Channels) -> Node:
    shape = (*node.shape[:-1], len(rows[node.name]))
    slices = node.attributes.get("slices", ())
    if len(slices) <= len(node.shape) or shape == node.shape:
        return replace(node, shape=shape)
    # The slice of channels begins after the remaining channels before it.
    start, width = slices[-1][0], len(channels.of[node.inputs[0]])
    first = int((rows[node.inputs[0]] < slice(start, None).indices(width)[0]).sum())
    plain = {**node.attributes, "slices": (*slices[:-1], (first, first + shape[-1], None))}
    return replace(node, shape=shape, attributes=plain)
