"""The nodes of a graph that carry whole numbers, which no kernel rounds. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from converters.graph.node import CONCAT, EMBEDDING, INPUT, Graph, Node

#: Ops that only move numbers.
_MOVES = ("flatten", "reshape", "slice", "permute", CONCAT)


def whole_dtype(node: Node, nodes: Mapping[str, Node]) -> str:
    """Type of the whole numbers that a node gives, such as "int32"; "" where it gives floats.

    Args:
        node: The node.
        nodes: Name to node, for all that the node takes from.
    """
    while node.op in _MOVES:
        node = nodes[node.inputs[0]]
    return str(node.attributes.get("dtype", "")) if node.op == INPUT else ""


def unrounded_nodes(graph: Graph) -> frozenset[str]:
    """Names of the nodes whose numbers are never rounded to 8 bits.

    These are nodes of whole numbers, and floats that only choose the rows of an embedding: a row
    that was rounded to a neighbour would be another word.
    """
    nodes, consumers = graph.by_name(), graph.consumers()
    names: set[str] = set()
    for node in reversed(graph.nodes):
        behind = consumers[node.name]
        chooses_rows = bool(behind) and all(
            other.op == EMBEDDING or other.name in names for other in behind
        )
        if node.op in (INPUT, *_MOVES) and (chooses_rows or whole_dtype(node, nodes)):
            names.add(node.name)
    return frozenset(names - set(graph.outputs))
