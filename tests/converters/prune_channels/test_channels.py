"""Which channels go together, and what is left without some: decided on plain arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from converters.graph.cost import macs, parameters
from converters.graph.node import Graph, Node
from converters.prune_channels.channels import channels_of
from converters.prune_channels.cut import without_channels
from converters.prune_channels.importance import by_taylor

PLAIN = {"strides": (1, 1), "padding": "same", "dilation": (1, 1), "groups": 1}


def kernel(*shape: Any, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng([seed, *shape])
    return {
        "kernel": random.normal(0, 1, shape).astype(np.float32),
        "bias": random.normal(0, 1, shape[-1]).astype(np.float32),
    }


def conv(name: str, source: str, size: int, kernel_name: str = "") -> Node:
    return Node(name, "conv", (source,), (4, 4, size), PLAIN, kernel_name or name)


def graph(nodes: list[Node], weights: dict[str, dict[str, np.ndarray]]) -> Graph:
    image = Node("image", "input", (), (4, 4, 3))
    return Graph("m", (image, *nodes), (nodes[-1].name,), weights)


@pytest.fixture
def flat() -> Graph:
    """Conv → Flatten → Dense → Dense."""
    nodes = [
        conv("a", "image", 8),
        Node("flat", "flatten", ("a",), (128,)),
        Node("hidden", "dense", ("flat",), (16,), weights="hidden"),
        Node("out", "dense", ("hidden",), (4,), weights="out"),
    ]
    weights = {
        "a": kernel(3, 3, 3, 8),
        "hidden": kernel(128, 16),
        "out": kernel(16, 4),
    }
    return graph(nodes, weights)


@pytest.fixture
def joined() -> Graph:
    """Two convolutions concatenated, a third on top; the last is the output."""
    nodes = [
        conv("a", "image", 8),
        conv("b", "image", 16),
        Node("both", "concat", ("a", "b"), (4, 4, 24), {"axis": 3}),
        conv("out", "both", 4),
    ]
    weights = {"a": kernel(1, 1, 3, 8), "b": kernel(1, 1, 3, 16), "out": kernel(1, 1, 24, 4)}
    return graph(nodes, weights)


def test_flattened_channels_run_fastest(flat: Graph) -> None:
    channels = channels_of(flat)
    (first, *_) = sorted(channels.groups, key=len)
    small = without_channels(flat, channels, [channels.of["a"][3]])
    stay = [row for row in range(128) if row % 8 != 3]
    assert len(first) == 8
    np.testing.assert_array_equal(
        small.weights["hidden"]["kernel"], flat.weights["hidden"]["kernel"][stay]
    )
    assert small.by_name()["flat"].shape == (112,)


def test_concatenated_channels_keep_their_places(joined: Graph) -> None:
    channels = channels_of(joined)
    small = without_channels(joined, channels, [channels.of["b"][0], channels.of["a"][7]])
    stay = [*range(7), *range(9, 24)]
    np.testing.assert_array_equal(
        small.weights["out"]["kernel"], joined.weights["out"]["kernel"][:, :, stay]
    )
    assert small.weights["a"]["bias"].shape == (7,)


def test_outputs_of_the_model_stay(joined: Graph) -> None:
    channels = channels_of(joined)
    assert sorted(map(len, channels.groups)) == [8, 16]
    assert not {*channels.of["out"].tolist()} & {c for group in channels.groups for c in group}


@pytest.mark.parametrize("op", ["add", "multiply", "maximum"])
def test_both_sides_of_an_op_on_pairs_are_one_channel(joined: Graph, op: str) -> None:
    nodes = [
        conv("a", "image", 8),
        conv("b", "image", 8),
        Node("sum", op, ("a", "b"), (4, 4, 8)),
        conv("out", "sum", 4),
    ]
    weights = {"a": kernel(1, 1, 3, 8), "b": kernel(1, 1, 3, 8, seed=1), "out": kernel(1, 1, 8, 4)}
    channels = channels_of(graph(nodes, weights))
    np.testing.assert_array_equal(channels.of["a"], channels.of["b"])
    assert list(map(len, channels.groups)) == [8]


def test_an_addition_to_the_input_keeps_all_channels() -> None:
    nodes = [
        conv("a", "image", 3),
        Node("sum", "add", ("a", "image"), (4, 4, 3)),
        conv("out", "sum", 4),
    ]
    weights = {"a": kernel(1, 1, 3, 3), "out": kernel(1, 1, 3, 4)}
    assert channels_of(graph(nodes, weights)).groups == ()


@pytest.mark.parametrize(
    ("op", "attributes", "shape"),
    [
        ("activation", {"function": "softmax", "axis": -1}, (4, 4, 8)),
        ("permute", {"dims": (3, 1, 2)}, (8, 4, 4)),
        ("reshape", {}, (4, 8, 4)),
        ("somebodys", {}, (4, 4, 8)),
    ],
)
def test_channels_that_an_op_mixes_stay(
    op: str, attributes: dict[str, Any], shape: tuple[int, int, int]
) -> None:
    nodes = [
        conv("a", "image", 8),
        Node("mix", op, ("a",), shape, attributes),
        Node("out", "conv", ("mix",), (*shape[:-1], 4), PLAIN, "out"),
    ]
    weights = {"a": kernel(1, 1, 3, 8), "out": kernel(1, 1, shape[-1], 4)}
    assert channels_of(graph(nodes, weights)).groups == ()


def test_a_grouped_convolution_keeps_the_channels_that_it_takes_and_gives() -> None:
    grouped = {**PLAIN, "groups": 4}
    nodes = [
        conv("a", "image", 8),
        conv("b", "a", 8),
        Node("apart", "conv", ("b",), (4, 4, 8), grouped, "apart"),
        conv("out", "apart", 4),
    ]
    weights = {
        "a": kernel(1, 1, 3, 8),
        "b": kernel(1, 1, 8, 8, seed=1),
        "apart": kernel(1, 1, 2, 8),
        "out": kernel(1, 1, 8, 4),
    }
    whole = graph(nodes, weights)
    channels = channels_of(whole)
    (group,) = channels.groups
    assert group == tuple(sorted(channels.of["a"].tolist()))
    small = without_channels(whole, channels, group[:4])
    np.testing.assert_array_equal(small.weights["apart"]["kernel"], weights["apart"]["kernel"])
    assert small.weights["b"]["kernel"].shape == (1, 1, 4, 8)


def test_a_gate_goes_with_the_channels_that_it_opens() -> None:
    nodes = [
        conv("a", "image", 8),
        Node("mean", "global_average_pool", ("a",), (1, 1, 8), {"rank": 2, "keepdims": True}),
        Node("squeeze", "conv", ("mean",), (1, 1, 4), PLAIN, "squeeze"),
        Node("gate", "conv", ("squeeze",), (1, 1, 8), PLAIN, "gate"),
        Node("gated", "multiply", ("a", "gate"), (4, 4, 8)),
        conv("out", "gated", 4),
    ]
    weights = {
        "a": kernel(1, 1, 3, 8),
        "squeeze": kernel(1, 1, 8, 4),
        "gate": kernel(1, 1, 4, 8),
        "out": kernel(1, 1, 8, 4, seed=1),
    }
    whole = graph(nodes, weights)
    channels = channels_of(whole)
    np.testing.assert_array_equal(channels.of["a"], channels.of["gate"])
    small = without_channels(whole, channels, [channels.of["a"][2]])
    shapes = {name: small.weights[name]["kernel"].shape[2:] for name in weights}
    assert shapes == {"a": (3, 7), "squeeze": (7, 4), "gate": (4, 7), "out": (7, 4)}


def test_a_slice_of_channels_moves_with_them() -> None:
    slices = ((None, None, None),) * 3 + ((2, 6, None),)
    nodes = [
        conv("a", "image", 8),
        Node("part", "slice", ("a",), (4, 4, 4), {"slices": slices}),
        conv("out", "part", 4),
    ]
    whole = graph(nodes, {"a": kernel(1, 1, 3, 8), "out": kernel(1, 1, 4, 4)})
    channels = channels_of(whole)
    small = without_channels(whole, channels, channels.of["a"][[0, 3]])
    assert small.by_name()["part"].attributes["slices"][-1] == (1, 4, None)
    assert small.weights["out"]["kernel"].shape == (1, 1, 3, 4)


def test_taylor_is_the_change_of_the_loss_to_the_first_order(joined: Graph) -> None:
    channels = channels_of(joined)
    gradients = [
        {key: np.full_like(of["kernel"], sign) for key, of in joined.weights.items()}
        for sign in (1.0, -1.0)
    ]
    found = by_taylor(joined, channels, gradients)
    sums = np.abs(joined.weights["a"]["kernel"].reshape(-1, 8).sum(axis=0))
    np.testing.assert_allclose([found[c] for c in channels.of["a"].tolist()], sums, rtol=1e-5)


def test_costs_are_counted_by_hand(flat: Graph) -> None:
    assert macs(flat) == 16 * 3 * 9 * 8 + 128 * 16 + 16 * 4
    assert parameters(flat) == (27 * 8 + 8) + (128 * 16 + 16) + (16 * 4 + 4)
