"""Pads of minus infinity, and the pads that 8 bits can hold in their place. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from converters.graph.node import ACTIVATION, Graph, Node

#: Number from which on downwards a pad stands for minus infinity.
_EXTREME = -1e3
_NOT_NEGATIVE = ("relu", "relu6", "sigmoid", "softmax")
_MOVES = ("reshape", "max_pool", "zero_pad", "mirror_pad", "crop")


def replace_extreme_pads(graph: Graph) -> Graph:
    """Replace pads of minus infinity before max-pooling by pads that change no maximum.

    Where the numbers are not negative, the pad is 0; else it mirrors them. A pad that is at most
    half as wide as the window mirrors only numbers that are in the window anyway.
    """
    nodes = graph.by_name()
    for node in graph.nodes:
        if node.op != "constant_pad" or node.attributes["value"] > _EXTREME:
            continue
        if _goes_to_windows(graph, node):
            plain = {"padding": node.attributes["padding"]}
            if _is_not_negative(nodes, node.inputs[0]):
                nodes[node.name] = replace(node, op="zero_pad", attributes=plain)
            else:
                plain["mode"] = "symmetric"
                nodes[node.name] = replace(node, op="mirror_pad", attributes=plain)
    return replace(graph, nodes=tuple(nodes.values()))


def _goes_to_windows(graph: Graph, node: Node) -> bool:
    """Whether only max-pooling takes the output, with windows at least twice as wide as the pad."""
    if node.name in graph.outputs:
        return False
    widest = [max(sides) for sides in node.attributes["padding"]]
    consumers = graph.consumers()
    for taker in consumers[node.name]:
        if taker.op == "reshape" and len(taker.shape) == 2:  # a sequence that was an image
            pools = consumers[taker.name]
        else:
            pools = [taker]
        for pool in pools:
            fits = pool.op == "max_pool" and all(
                2 * width <= size
                for width, size in zip(widest, pool.attributes["pool"], strict=False)
            )
            if not fits or pool is not taker and taker.name in graph.outputs:
                return False
    return True


def _is_not_negative(nodes: Mapping[str, Node], name: str) -> bool:
    while nodes[name].op in _MOVES:
        name = nodes[name].inputs[0]
    node = nodes[name]
    return node.op == ACTIVATION and node.attributes["function"] in _NOT_NEGATIVE
