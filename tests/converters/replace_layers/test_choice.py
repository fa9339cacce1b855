"""Kernels as sums of products: what they lack, and which layers are replaced."""

from __future__ import annotations

import numpy as np
import pytest

from converters.graph.cost import macs
from converters.graph.node import Graph, Node
from converters.replace_layers.choose import Version, choose_versions
from converters.replace_layers.decompose import (
    LOW_RANK,
    SEPARABLE,
    Decomposition,
    versions_of,
    with_versions,
)

WINDOW = {"strides": (2, 2), "padding": "same", "dilation": (1, 1), "groups": 1}


def network(kernel: np.ndarray) -> Graph:
    """A convolution whose output is 4 × 4, or a Dense layer."""
    outputs = kernel.shape[-1]
    if kernel.ndim == 2:
        source = Node("in", "input", (), (kernel.shape[0],))
        layer = Node("layer", "dense", ("in",), (outputs,), weights="layer")
    else:
        source = Node("in", "input", (), (8, 8, kernel.shape[2]))
        layer = Node("layer", "conv", ("in",), (4, 4, outputs), WINDOW, "layer")
    weights = {"layer": {"kernel": kernel, "bias": np.arange(outputs, dtype=np.float32)}}
    return Graph("m", (source, layer), ("layer",), weights)


def product(graph: Graph) -> np.ndarray:
    """Kernel that the two layers of a graph are together."""
    first, last = (graph.weights[node.weights]["kernel"] for node in graph.nodes[1:])
    if graph.nodes[1].op == "depthwise":
        inputs, rank = first.shape[2:]
        last = last.reshape(inputs, rank, -1)
        return np.asarray(np.einsum("hwir,iro->hwio", first, last))
    return np.asarray(first @ last)


def kernel_of(way: Decomposition, rank: int, shape: tuple[int, ...]) -> np.ndarray:
    """A kernel that is a sum of `rank` products."""
    chance = np.random.default_rng(3)
    if way is LOW_RANK:
        factors = chance.normal(size=(shape[-2], rank)), chance.normal(size=(rank, shape[-1]))
        return np.asarray(factors[0] @ factors[1], np.float32).reshape(shape)
    height, width, inputs, outputs = shape
    depthwise = chance.normal(size=(height, width, inputs, rank))
    pointwise = chance.normal(size=(inputs, rank, outputs))
    return np.asarray(np.einsum("hwir,iro->hwio", depthwise, pointwise), np.float32)


@pytest.mark.parametrize(
    ("way", "shape", "rank"),
    [
        (LOW_RANK, (40, 24), 8),
        (LOW_RANK, (1, 1, 24, 32), 8),
        (SEPARABLE, (3, 3, 4, 24), 2),
        (SEPARABLE, (1, 5, 3, 16), 1),
    ],
)
def test_a_kernel_of_this_rank_is_replaced_without_a_loss(
    way: Decomposition, shape: tuple[int, ...], rank: int
) -> None:
    graph = network(kernel_of(way, rank, shape))
    costs, versions = versions_of(graph, way, rank)
    assert costs == {"layer": macs(graph)}
    version = next(version for version in versions if version.rank == rank)
    new = with_versions(graph, way, [version])
    assert version.loss < 1e-6
    assert macs(new) == version.macs < macs(graph)
    assert product(new) == pytest.approx(graph.weights["layer"]["kernel"], abs=1e-4)
    assert new.outputs == ("layer",)
    assert new.nodes[-1].shape == graph.nodes[-1].shape
    assert new.weights["layer"]["bias"].tolist() == graph.weights["layer"]["bias"].tolist()


def test_the_loss_is_the_share_of_the_squares_that_is_missing() -> None:
    graph = network(np.diag([3.0, 2.0, 1.0, 0.5, 0.5, 0.5, 0.1, 0.1]).astype(np.float32))
    _, versions = versions_of(graph, LOW_RANK, 1)
    total = 9 + 4 + 1 + 0.75 + 0.02
    assert [version.rank for version in versions] == [1, 2, 3]  # 4 of 8 save nothing
    assert [version.loss for version in versions] == pytest.approx(
        [5.77 / total, 1.77 / total, 0.77 / total]
    )


@pytest.mark.parametrize("change", [{"groups": 2}, {"strides": (2, 1)}])
def test_what_has_no_such_version_is_left_out(change: dict[str, object]) -> None:
    graph = network(kernel_of(SEPARABLE, 1, (3, 3, 4, 24)))
    layer = graph.nodes[1]
    odd = Node("layer", "conv", ("in",), layer.shape, {**WINDOW, **change}, "layer")
    assert versions_of(Graph("m", (graph.nodes[0], odd), ("layer",), graph.weights), SEPARABLE, 1)[
        0
    ] == {}  # fmt: skip


def test_a_layer_that_is_used_twice_stays() -> None:
    kernel = kernel_of(LOW_RANK, 8, (40, 40))
    graph = network(kernel)
    again = Node("again", "dense", ("layer",), (40,), weights="layer")
    twice = Graph("m", (*graph.nodes, again), ("again",), graph.weights)
    assert versions_of(twice, LOW_RANK, 8) == ({}, ())


def test_the_cheapest_loss_for_each_mac_goes_first_until_the_target_is_reached() -> None:
    costs = {"a": 100, "b": 100}
    versions = [
        Version("a", 2, 60, 0.04),
        Version("a", 1, 30, 0.4),
        Version("b", 2, 50, 0.1),
        Version("b", 1, 25, 0.12),
        Version("b", 4, 110, 0.0),  # saves nothing
    ]
    assert choose_versions(costs, versions, 30) == (versions[0],)
    assert choose_versions(costs, versions, 80) == (versions[0], versions[3])
    assert choose_versions(costs, versions, 1000) == (versions[1], versions[3])
    assert choose_versions(costs, versions, 0) == ()
