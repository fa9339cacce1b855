"""Which parts of a graph can be left out without anything else changing its shape. NumPy only.

A part is optional if what comes before it can stand in its place: the branch that an addition adds
to a shortcut, be that an identity or a projection; and a layer that gives the shape that it takes
(stochastic depth, Huang et al., 2016, shows that residual networks bear their absence).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from converters.graph.cost import macs_by_node
from converters.graph.node import (
    ACTIVATION,
    ADD,
    INPUT,
    WEIGHTED,
    Graph,
    Node,
    with_weights,
    without,
)

#: Done twice they do what they do once.
_IDEMPOTENT = ("relu", "relu6")


@dataclass(frozen=True)
class Block:
    """A part that is optional."""

    name: str
    """Of the node whose output something else can stand in for."""
    stand_in: str
    """Name of the node that then gives it."""
    nodes: tuple[str, ...]
    """Names of those that nobody needs any more."""
    macs: int
    """Of those, for one sample."""


def optional_blocks(graph: Graph) -> tuple[Block, ...]:
    """All optional parts, in the order of the graph; those that cost no MACs are left out.

    Never all of a model: the input of the model is no stand-in for what decides its classes.
    """
    found: list[Block] = []
    for node in graph.nodes:
        if node.op == ADD:
            blocks = [_block(graph, node, name) for name in dict.fromkeys(node.inputs)]
            # Of a projection and its branch, the branch goes: it costs more.
            found += sorted(filter(None, blocks), key=lambda block: block.macs)[-1:]
        elif node.op in WEIGHTED:
            block = _block(graph, _with_activation(graph, node), node.inputs[0])
            found += [block] if block else []
    return tuple(block for block in found if block.macs)


def without_block(graph: Graph, block: Block) -> Graph:
    """The graph without a part; its nodes keep their names."""
    inputs = {
        node.name: tuple(block.stand_in if name == block.name else name for name in node.inputs)
        for node in graph.nodes
    }
    left = tuple(
        replace(node, inputs=inputs[node.name])
        for node in graph.nodes
        if node.name not in block.nodes
    )
    outputs = tuple(block.stand_in if name == block.name else name for name in graph.outputs)
    return _once(with_weights(replace(graph, nodes=left, outputs=outputs), graph.weights))


def _block(graph: Graph, node: Node, stand_in: str) -> Block | None:
    nodes = graph.by_name()
    if nodes[stand_in].shape != node.shape or nodes[stand_in].op == INPUT:
        return None
    if node.name in graph.outputs:
        return None
    gone = _needless(graph, node.name, stand_in)
    cost = macs_by_node(graph)
    return Block(node.name, stand_in, gone, sum(cost.get(name, 0) for name in gone))


def _needless(graph: Graph, name: str, stand_in: str) -> tuple[str, ...]:
    """What nobody needs when one node stands in for another."""
    nodes, needed = graph.by_name(), set(graph.inputs)
    todo = [stand_in if output == name else output for output in graph.outputs]
    while todo:
        one = todo.pop()
        if one not in needed:
            needed.add(one)
            todo += [stand_in if taken == name else taken for taken in nodes[one].inputs]
    return tuple(node.name for node in graph.nodes if node.name not in needed)


def _with_activation(graph: Graph, node: Node) -> Node:
    """A layer's last node: the activation behind it, if nothing else takes from the layer."""
    consumers = graph.consumers()[node.name]
    alone = len(consumers) == 1 and node.name not in graph.outputs
    return consumers[0] if alone and consumers[0].op == ACTIVATION else node


def _once(graph: Graph) -> Graph:
    """The graph without a ReLU that follows the same ReLU."""
    for node in graph.nodes:
        if node.op == ACTIVATION and node.attributes["function"] in _IDEMPOTENT:
            source = graph.by_name()[node.inputs[0]]
            if source.op == ACTIVATION and source.attributes == node.attributes:
                return _once(without(graph, node.name))
    return graph
