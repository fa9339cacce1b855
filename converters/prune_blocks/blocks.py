"""The parts of a graph that can be removed without a change of any other shape. NumPy only.

A part is optional if the node before it can replace it. This holds for the branch that an addition
adds to a shortcut, which is an identity or a projection, and for a layer whose output has the shape
of its input (stochastic depth, Huang et al., 2016, shows that residual networks tolerate this).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from converters.graph.cost import macs_by_node
from converters.graph.node import (
    ACTIVATION,
    ADD,
    DEPTHWISE,
    INPUT,
    WEIGHTED,
    Graph,
    Node,
    with_weights,
    without,
)

#: Functions that give the same result if they are applied twice.
_IDEMPOTENT = ("relu", "relu6")


@dataclass(frozen=True)
class Block:
    """A part that is optional."""

    name: str
    """Name of the node whose output can be replaced."""
    stand_in: str
    """Name of the node whose output replaces it."""
    nodes: tuple[str, ...]
    """Names of the nodes that are then not needed any more."""
    macs: int
    """Number of MACs of these nodes for one sample."""


def optional_blocks(graph: Graph) -> tuple[Block, ...]:
    """All optional parts that cost MACs, in the order of the graph.

    The input of the model replaces no part, so that never all of a model is optional.
    """
    parts: list[Block] = []
    for node in graph.nodes:
        if node.op == ADD:
            blocks = [_block(graph, node, name) for name in dict.fromkeys(node.inputs)]
            # Between a projection and its branch, the branch is optional: it costs more.
            parts += sorted(filter(None, blocks), key=lambda block: block.macs)[-1:]
        elif node.op in WEIGHTED and not _scales_only(graph, node):
            block = _block(graph, _with_activation(graph, node), node.inputs[0])
            parts += [block] if block else []
    return tuple(block for block in parts if block.macs)


def without_block(graph: Graph, block: Block) -> Graph:
    """The graph without a part; its nodes keep their names."""
    inputs = {
        node.name: tuple(block.stand_in if name == block.name else name for name in node.inputs)
        for node in graph.nodes
    }
    nodes = tuple(
        replace(node, inputs=inputs[node.name])
        for node in graph.nodes
        if node.name not in block.nodes
    )
    outputs = tuple(block.stand_in if name == block.name else name for name in graph.outputs)
    return _once(with_weights(replace(graph, nodes=nodes, outputs=outputs), graph.weights))


def _scales_only(graph: Graph, node: Node) -> bool:
    """Whether a node scales each channel alone: a normalization that was folded, and no layer."""
    kernel = graph.weights[node.weights]["kernel"]
    return node.op == DEPTHWISE and kernel.size == node.shape[-1]


def _block(graph: Graph, node: Node, stand_in: str) -> Block | None:
    nodes = graph.by_name()
    if nodes[stand_in].shape != node.shape or nodes[stand_in].op == INPUT:
        return None
    if node.name in graph.outputs:
        return None
    needless = _needless(graph, node.name, stand_in)
    cost = macs_by_node(graph)
    return Block(node.name, stand_in, needless, sum(cost.get(name, 0) for name in needless))


def _needless(graph: Graph, name: str, stand_in: str) -> tuple[str, ...]:
    """Names of the nodes that are not needed if one node replaces another."""
    nodes, needed = graph.by_name(), set(graph.inputs)
    todo = [stand_in if output == name else output for output in graph.outputs]
    while todo:
        needed_name = todo.pop()
        if needed_name not in needed:
            needed.add(needed_name)
            todo += [stand_in if source == name else source for source in nodes[needed_name].inputs]
    return tuple(node.name for node in graph.nodes if node.name not in needed)


def _with_activation(graph: Graph, node: Node) -> Node:
    """Last node of a layer: the activation after it, if no other node uses the layer's output."""
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
