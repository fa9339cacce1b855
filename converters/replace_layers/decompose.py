"""Kernels as sums of products: two small layers in the place of a large one. NumPy only.

- Low rank: a Dense layer or a 1×1 convolution becomes two, with `rank` channels in between, by a
  truncated singular value decomposition (Denton et al., "Exploiting Linear Structure Within
  Convolutional Networks for Efficient Evaluation", 2014).
- Separable: a convolution becomes a depthwise one of `rank` filters for each input channel, and a
  1×1 convolution, by one decomposition for each input channel (Guo et al., "Network Decoupling:
  From Regular to Depthwise Separable Convolutions", 2018).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from converters.graph.cost import macs_by_node, positions
from converters.graph.node import CONV, DENSE, DEPTHWISE, Graph, Node, Weights, replace_node
from converters.replace_layers.choose import Version

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Decomposition:
    """A way to write a kernel as a sum of products."""

    name: str
    """Name of the step, which new nodes are called after."""
    layers: str
    """Layers that it is for, in words that follow "is"."""
    applies: Callable[[Node, Graph], bool]
    """Whether a node can be replaced in this way."""
    matrices: Callable[[Floats], Floats]
    """The kernel as matrices, one after the other: shape (matrices, rows, columns)."""
    cost: Callable[[tuple[int, ...]], int]
    """Number of multiplications for each rank at one place, by the shape of the kernel."""
    split: Callable[[Graph, Node, int, str], tuple[tuple[Node, Weights], tuple[Node, Weights]]]
    """The two layers in the place of a node, by rank and the name of the first."""


def versions_of(
    graph: Graph, decomposition: Decomposition, multiple: int
) -> tuple[dict[str, int], tuple[Version, ...]]:
    """Find the layers of a graph that have cheaper versions, and these versions.

    Args:
        graph: Folded graph of a trained model.
        decomposition: Way of the replacement.
        multiple: Divisor of the ranks.

    Returns:
        Name of each such layer to its MACs, and the versions of all of them.
    """
    nodes, uses, macs = graph.by_name(), graph.uses(), macs_by_node(graph)
    costs: dict[str, int] = {}
    versions: list[Version] = []
    for node in graph.nodes:
        if not decomposition.applies(node, graph) or len(uses[node.weights]) > 1:
            continue
        kernel = graph.weights[node.weights]["kernel"]
        each = positions(node, nodes) * decomposition.cost(kernel.shape)
        useful = [
            Version(node.name, rank, each * rank, loss)
            for rank, loss in _losses(decomposition.matrices(kernel), multiple)
            if each * rank < macs[node.name]
        ]
        if useful:
            costs[node.name] = macs[node.name]
            versions += useful
    return costs, tuple(versions)


def with_versions(graph: Graph, decomposition: Decomposition, versions: Sequence[Version]) -> Graph:
    """Replace layers by versions of themselves.

    The second of the two layers keeps the name of the layer that they replace.

    Args:
        graph: Folded graph of a trained model.
        decomposition: Way of the replacement.
        versions: One version for each layer that is replaced.
    """
    for version in versions:
        node = graph.by_name()[version.layer]
        first_name = _free_name(graph, f"{node.name}_{decomposition.name}")
        (first, reduction), (last, expansion) = decomposition.split(
            graph, node, version.rank, first_name
        )
        chain = (replace(first, weights=first.name), last)
        weights = {**graph.weights, first.name: reduction, node.weights: expansion}
        graph = replace(replace_node(graph, node.name, chain), weights=weights)
    return graph


def _losses(matrices: Floats, multiple: int) -> Iterator[tuple[int, float]]:
    """Ranks, and the share of the squared norm that is lost with each."""
    squares = (np.linalg.svd(matrices, compute_uv=False).astype(np.float64) ** 2).sum(axis=0)
    total = max(float(squares.sum()), 1e-30)
    for rank in range(multiple, len(squares), multiple):
        yield rank, float(squares[rank:].sum()) / total


def _factors(matrices: Floats, rank: int) -> tuple[Floats, Floats]:
    """Factors (matrices, rows, rank) and (matrices, rank, columns) of each matrix."""
    left, values, right = np.linalg.svd(matrices, full_matrices=False)
    roots = np.sqrt(values[:, :rank])
    return left[:, :, :rank] * roots[:, None, :], roots[:, :, None] * right[:, :rank]


def _free_name(graph: Graph, name: str) -> str:
    names, free, number = {*graph.by_name(), *graph.weights}, name, 1
    while free in names:
        free, number = f"{name}_{number}", number + 1
    return free


def _is_pointwise(node: Node, graph: Graph) -> bool:
    if node.op == DENSE:
        return True
    kernel = graph.weights[node.weights]["kernel"] if node.op == CONV else np.zeros((0, 0))
    return kernel.shape[:2] == (1, 1) and node.attributes["groups"] == 1


def _is_separable(node: Node, graph: Graph) -> bool:
    if node.op != CONV or node.attributes["groups"] != 1:
        return False
    strides, dilation = node.attributes["strides"], node.attributes["dilation"]
    # TensorFlow has no depthwise convolution of the others.
    if strides[0] != strides[1] or (strides != (1, 1) and dilation != (1, 1)):
        return False
    return graph.weights[node.weights]["kernel"].shape[:2] != (1, 1)


def _split_low_rank(
    graph: Graph, node: Node, rank: int, name: str
) -> tuple[tuple[Node, Weights], tuple[Node, Weights]]:
    old = graph.weights[node.weights]
    kernel = old["kernel"]
    left, right = _factors(kernel.reshape(1, *kernel.shape[-2:]), rank)
    axes = kernel.shape[:-2]
    reduction = {
        "kernel": left.reshape(*axes, kernel.shape[-2], rank),
        "bias": np.zeros(rank, np.float32),
    }
    expansion = {"kernel": right.reshape(*axes, rank, kernel.shape[-1]), "bias": old["bias"]}
    first = replace(node, name=name, shape=(*node.shape[:-1], rank))
    return (first, reduction), (_at_each_place(node, name), expansion)


def _split_separable(
    graph: Graph, node: Node, rank: int, name: str
) -> tuple[tuple[Node, Weights], tuple[Node, Weights]]:
    old = graph.weights[node.weights]
    height, width, inputs, outputs = old["kernel"].shape
    left, right = _factors(_by_input(old["kernel"]), rank)
    reduction = {
        "kernel": np.moveaxis(left, 0, 1).reshape(height, width, inputs, rank),
        "bias": np.zeros(inputs * rank, np.float32),
    }
    expansion = {"kernel": right.reshape(1, 1, inputs * rank, outputs), "bias": old["bias"]}
    window = {key: value for key, value in node.attributes.items() if key != "groups"}
    first = Node(name, DEPTHWISE, node.inputs, (*node.shape[:-1], inputs * rank), window)
    return (first, reduction), (_at_each_place(node, name), expansion)


def _at_each_place(node: Node, source: str) -> Node:
    """A layer that takes another's output and looks at one place at a time."""
    attributes = node.attributes
    if node.op == CONV:
        attributes = {**attributes, "strides": (1, 1), "dilation": (1, 1), "padding": "valid"}
    return replace(node, inputs=(source,), attributes=attributes)


def _by_input(kernel: Floats) -> Floats:
    """A kernel as a matrix for each input channel: shape (inputs, height * width, outputs)."""
    height, width, inputs, outputs = kernel.shape
    return np.moveaxis(kernel.reshape(height * width, inputs, outputs), 1, 0)


LOW_RANK = Decomposition(
    "low_rank",
    "a Dense layer or a 1×1 convolution",
    _is_pointwise,
    lambda kernel: kernel.reshape(1, *kernel.shape[-2:]),
    lambda shape: shape[-2] + shape[-1],
    _split_low_rank,
)
SEPARABLE = Decomposition(
    "separable",
    "a convolution of more than 1×1 with equal strides",
    _is_separable,
    _by_input,
    lambda shape: shape[2] * (shape[0] * shape[1] + shape[3]),
    _split_separable,
)
