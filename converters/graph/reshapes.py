"""Reshapes that sources put one behind another. Pure."""

from __future__ import annotations

from dataclasses import replace

from converters.graph.node import Graph, Node, without

_RESHAPES = ("reshape", "flatten")


def join_reshapes(graph: Graph) -> Graph:
    """Let one reshape do what several in a row do, and remove those that change nothing.

    Args:
        graph: The graph. Nodes that give an output of the model stay.
    """
    nodes: dict[str, Node] = {}
    for node in graph.nodes:
        if node.op in _RESHAPES:
            source = nodes[node.inputs[0]]
            while source.op in _RESHAPES:
                source = nodes[source.inputs[0]]
            node = replace(node, inputs=(source.name,))
        nodes[node.name] = node
    graph = replace(graph, nodes=tuple(nodes.values()))
    for node in nodes.values():
        if node.op in _RESHAPES and node.name not in graph.outputs:
            is_used = bool(graph.consumers()[node.name])
            if not is_used or nodes[node.inputs[0]].shape == node.shape:
                graph = without(graph, node.name)
    return graph
