"""Functions that a source took apart are found by what the small ops compute."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from converters.graph.builder import GraphBuilder, Ref, SourceLayer
from converters.graph.node import Graph
from converters.graph.patterns import recognize_functions

SHAPE = (4, 8)
Make = Callable[[GraphBuilder, Ref], Ref]


def affine(builder: GraphBuilder, x: Ref, scale: Any, offset: Any = 0.0) -> Ref:
    return builder.affine(SourceLayer("affine", "MUL", object()), x, scale, offset)


def merge(builder: GraphBuilder, op: str, *sources: Ref) -> Ref:
    return builder.add(op, op, sources, sources[0].shape)


def graph_of(make: Make) -> Graph:
    builder = GraphBuilder("model")
    return builder.graph("model", [make(builder, builder.input("x", SHAPE))])


def gelu(builder: GraphBuilder, x: Ref) -> Ref:
    erf = builder.activation("erf", affine(builder, x, 1 / np.sqrt(2)), "erf")
    product = merge(builder, "multiply", x, affine(builder, erf, 1.0, 1.0))
    return affine(builder, product, 0.5)


def gelu_by_tanh(builder: GraphBuilder, x: Ref) -> Ref:
    cube = merge(builder, "multiply", builder.activation("square", x, "square"), x)
    inner = merge(builder, "add", x, affine(builder, cube, 0.044715))
    tanh = builder.activation("tanh", affine(builder, inner, np.sqrt(2 / np.pi)), "tanh")
    return merge(builder, "multiply", affine(builder, x, 0.5), affine(builder, tanh, 1.0, 1.0))


def swish(builder: GraphBuilder, x: Ref) -> Ref:
    return merge(builder, "multiply", x, builder.activation("sigmoid", x, "sigmoid"))


def hard_swish(builder: GraphBuilder, x: Ref) -> Ref:
    part = builder.activation("relu6", affine(builder, x, 1.0, 3.0), "relu6")
    return merge(builder, "multiply", x, affine(builder, part, 1 / 6))


def leaky_relu(builder: GraphBuilder, x: Ref) -> Ref:
    return merge(builder, "maximum", x, affine(builder, x, 0.125))


def mean(builder: GraphBuilder, x: Ref) -> Ref:
    return builder.add("mean", "mean", (x,), (4, 1), {"axes": (2,), "keepdims": True})


def layer_norm(builder: GraphBuilder, x: Ref) -> Ref:
    centred = builder.add("centred", "subtract", (x, mean(builder, x)), SHAPE)
    variance = mean(builder, builder.activation("square", centred, "square"))
    root = builder.activation("root", affine(builder, variance, 1.0, 1e-5), "rsqrt")
    norm = builder.add("norm", "multiply", (centred, root), SHAPE)
    return affine(builder, norm, np.arange(1.0, 9.0), np.arange(8.0))


def keras_layer_norm(builder: GraphBuilder, x: Ref) -> Ref:
    """(x * inverse) + (-mean * inverse), as Keras 3 computes it; the variance from two means."""
    middle = mean(builder, x)
    squares = mean(builder, builder.activation("square", x, "square"))
    of_mean = builder.activation("square", middle, "square")
    variance = builder.add("variance", "subtract", (squares, of_mean), (4, 1))
    root = builder.activation("root", affine(builder, variance, 1.0, 1e-3), "rsqrt")
    scaled = builder.add("scaled", "multiply", (x, root), SHAPE)
    moved = builder.add("moved", "multiply", (affine(builder, middle, -1.0), root), (4, 1))
    return builder.add("sum", "add", (scaled, moved), SHAPE)


def unit_norm(builder: GraphBuilder, x: Ref) -> Ref:
    mean_square = mean(builder, builder.activation("square", x, "square"))
    root = builder.activation("root", affine(builder, mean_square, 8.0), "rsqrt")
    return builder.add("unit", "multiply", (x, root), SHAPE)


CASES: dict[Make, dict[str, Any]] = {
    gelu: {"function": "gelu", "approximate": False},
    gelu_by_tanh: {"function": "gelu", "approximate": True},
    swish: {"function": "swish"},
    hard_swish: {"function": "hard_swish"},
    leaky_relu: {"function": "leaky_relu", "slope": 0.125},
    layer_norm: {"epsilon": 1e-5},
    keras_layer_norm: {"epsilon": 1e-3},
    unit_norm: {},
}


@pytest.mark.parametrize("make", CASES, ids=lambda make: make.__name__)
def test_a_chain_becomes_the_function_that_it_computes(make: Make) -> None:
    graph = graph_of(make)
    found = recognize_functions(graph)
    first, last = found.nodes
    assert (first.op, last.inputs, last.attributes) == ("input", ("x",), CASES[make])
    assert last.name == graph.outputs[0]


def test_a_layer_norm_keeps_its_weights() -> None:
    found = recognize_functions(graph_of(layer_norm))
    (weights,) = found.weights.values()
    np.testing.assert_allclose(weights["gamma"], np.arange(1.0, 9.0), rtol=1e-6)
    np.testing.assert_allclose(weights["beta"], np.arange(8.0), atol=1e-6)


def test_what_is_nearly_a_known_function_stays_what_it_is() -> None:
    def quick_gelu(builder: GraphBuilder, x: Ref) -> Ref:
        gate = builder.activation("gate", affine(builder, x, 1.702), "sigmoid")
        return merge(builder, "multiply", x, gate)

    graph = graph_of(quick_gelu)
    assert recognize_functions(graph) == graph


def test_a_value_that_others_take_stays() -> None:
    def make(builder: GraphBuilder, x: Ref) -> Ref:
        gate = builder.activation("gate", x, "sigmoid")
        return merge(builder, "add", merge(builder, "multiply", x, gate), gate)

    ops = [(node.op, node.attributes.get("function")) for node in recognize_functions(
        graph_of(make)
    ).nodes]  # fmt: skip
    assert ops == [("input", None), ("activation", "sigmoid"), ("activation", "swish"),
                   ("add", None)]  # fmt: skip
