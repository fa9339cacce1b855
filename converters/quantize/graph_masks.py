"""Masks of a graph that is trained with rounding: numbers of the size of the scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from converters.graph.node import Graph
from converters.quantize.extremes import MARGIN
from converters.quantize.ranges import Rounding

Bounds = Mapping[str, tuple[float, float]]


def limit_graph_masks(graph: Graph, rounding: Rounding, ranges: Bounds) -> tuple[Graph, Bounds]:
    """Replace the numbers with which scores are masked before softmax by numbers of their size.

    Args:
        graph: Folded graph.
        rounding: Places where it is rounded.
        ranges: Range of each node that owns one, as measured.

    Returns:
        The graph, and ranges that end where softmax gives 0 already.
    """
    nodes, limited = graph.by_name(), dict(ranges)
    for node in [node for node in graph.nodes if node.attributes.get("masks")]:
        scores = node.inputs[0]
        while scores not in rounding.ranges:
            scores = nodes[scores].inputs[0]
        owner = rounding.ranges[scores]
        low, high = limited.get(owner) or rounding.fixed[owner]
        limit = max(high, 0.0) - min(low, 0.0) + MARGIN
        values = np.clip(node.attributes["values"], -limit, limit).tolist()
        nodes[node.name] = replace(node, attributes={**node.attributes, "values": tuple(values)})
        limited[node.name] = (min(low, 0.0) - MARGIN, high)
    return replace(graph, nodes=tuple(nodes.values())), limited
