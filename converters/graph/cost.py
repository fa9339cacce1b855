"""What a graph costs to compute, counted and never timed."""

from __future__ import annotations

from math import prod

from converters.graph.node import CONV_TRANSPOSE, DENSE, RECURRENT, WEIGHTED, Graph, Node, Weights


def macs(graph: Graph) -> int:
    """Multiplications with a weight and additions, for one sample; biases are not counted."""
    return sum(of_node for of_node in macs_by_node(graph).values())


def macs_by_node(graph: Graph) -> dict[str, int]:
    """Multiplications with a weight of each node that has a kernel, by name, for one sample."""
    nodes = graph.by_name()
    return {
        node.name: positions(node, nodes) * _kernel_size(graph.weights[node.weights])
        for node in graph.nodes
        if node.op in (*WEIGHTED, *RECURRENT)
    }


def _kernel_size(weights: Weights) -> int:
    return sum(int(weights[name].size) for name in ("kernel", "recurrent") if name in weights)


def parameters(graph: Graph) -> int:
    """Numbers in all weights; a shared layer's count once."""
    return sum(int(array.size) for of_set in graph.weights.values() for array in of_set.values())


def positions(node: Node, nodes: dict[str, Node]) -> int:
    """How often the whole kernel is applied."""
    if node.op in RECURRENT:
        return nodes[node.inputs[0]].shape[0]
    if node.op == DENSE:
        return prod(node.shape[:-1])
    if node.op == CONV_TRANSPOSE:  # once at each place of the input
        return prod(nodes[node.inputs[0]].shape[:-1])
    return prod(node.shape[:-1])
