"""A model as plain data: nodes, and the weights that they use. NumPy only."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

Weights = Mapping[str, npt.NDArray[np.float32]]

INPUT = "input"
CONV = "conv"
CONV_TRANSPOSE = "conv_transpose"
DEPTHWISE = "depthwise"
DENSE = "dense"
#: x * scale + offset on the last axis: what a BatchNormalization is once it is trained.
AFFINE = "affine"
ACTIVATION = "activation"
#: A BatchNormalization as it is trained; folded graphs have none.
NORM = "norm"
ADD = "add"
CONCAT = "concat"

#: Ops with a `kernel` and a `bias`; a BatchNormalization behind them can go into both.
WEIGHTED = (CONV, CONV_TRANSPOSE, DEPTHWISE, DENSE)
#: Ops of several inputs that work element by element.
ELEMENTWISE = (ADD, "subtract", "multiply", "maximum", "minimum")


@dataclass(frozen=True)
class Node:
    """One op."""

    name: str
    """Unique in its graph; the Keras layer's own name where that is unique."""
    op: str
    """What it does; a key of `converters.graph.build.LAYERS`."""
    inputs: tuple[str, ...]
    """Names of the nodes whose outputs it takes."""
    shape: tuple[int, ...]
    """Of its output, without the batch axis."""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """What the op needs to know besides, as plain data."""
    weights: str = ""
    """Key of its weights in the graph; "" if it has none. Two nodes with the same key are a layer
    that is used twice."""


@dataclass(frozen=True)
class Graph:
    """A model."""

    name: str
    """Of the model."""
    nodes: tuple[Node, ...]
    """Every node stands after those that it takes from."""
    outputs: tuple[str, ...]
    """Names of the nodes that the model gives."""
    weights: Mapping[str, Weights]
    """Key to the arrays of one set: `kernel` as Keras shapes it and `bias`, or `scale` and
    `offset`, or `alpha`, or what a BatchNormalization has; float32."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the nodes that the model is fed through."""
        return tuple(node.name for node in self.nodes if node.op == INPUT)

    def by_name(self) -> dict[str, Node]:
        """Name to node."""
        return {node.name: node for node in self.nodes}

    def consumers(self) -> dict[str, list[Node]]:
        """Name of each node to the nodes that take its output, once for each time."""
        found: dict[str, list[Node]] = {node.name: [] for node in self.nodes}
        for node in self.nodes:
            for name in node.inputs:
                found[name].append(node)
        return found

    def uses(self) -> dict[str, list[Node]]:
        """Key of each set of weights to the nodes that use it."""
        found: dict[str, list[Node]] = {}
        for node in self.nodes:
            if node.weights:
                found.setdefault(node.weights, []).append(node)
        return found


def with_weights(graph: Graph, weights: Mapping[str, Weights]) -> Graph:
    """The same graph with other values in its weights; those that no node uses are left out."""
    used = {node.weights for node in graph.nodes}
    return replace(graph, weights={key: value for key, value in weights.items() if key in used})


def without(graph: Graph, name: str) -> Graph:
    """The graph without one node of one input: what took from it takes from that input."""
    gone = graph.by_name()[name]
    (source,) = gone.inputs
    nodes = tuple(
        replace(node, inputs=_renamed(node.inputs, name, source))
        for node in graph.nodes
        if node.name != name
    )
    slim = replace(graph, nodes=nodes, outputs=_renamed(graph.outputs, name, source))
    return with_weights(slim, graph.weights)


def replaced(graph: Graph, name: str, nodes: Iterable[Node]) -> Graph:
    """The graph with other nodes in the place of one; the last of them gives its output."""
    chain = tuple(nodes)
    last = chain[-1].name
    return replace(
        graph,
        nodes=tuple(
            new
            for node in graph.nodes
            for new in (
                chain
                if node.name == name
                else (replace(node, inputs=_renamed(node.inputs, name, last)),)
            )
        ),
        outputs=_renamed(graph.outputs, name, last),
    )


def _renamed(names: tuple[str, ...], old: str, new: str) -> tuple[str, ...]:
    return tuple(new if name == old else name for name in names)
