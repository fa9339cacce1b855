"""Where an int8 file rounds, and with whose range."""

from __future__ import annotations

from typing import Any

import pytest

from converters.errors import ConversionError
from converters.graph.node import Graph, Node
from converters.quantize.ranges import Rounding, decide_rounding


def node(name: str, op: str, *inputs: Any, **attributes: Any) -> Node:
    return Node(name, op, inputs, (4, 4, 8), attributes)


def rounding(*nodes: Any, outputs: tuple[()] = ()) -> Rounding | None:
    return decide_rounding(Graph("m", nodes, outputs or (nodes[-1].name,), {}), "m.keras")


def relu(name: str, source: str) -> Node:
    return node(name, "activation", source, function="relu")


def test_a_relu_is_part_of_the_kernel_before_it() -> None:
    found = rounding(node("x", "input"), node("c", "conv", "x"), relu("r", "c"))
    assert found.ranges == {"x": "x", "r": "r"}


def test_what_somebody_else_needs_before_the_relu_is_rounded_too() -> None:
    c, r = node("c", "conv", "x"), relu("r", "c")
    found = rounding(node("x", "input"), c, r, node("s", "add", "c", "r"))
    assert set(found.ranges) == {"x", "c", "r", "s"}


def test_pooling_and_padding_keep_the_range_of_what_they_take() -> None:
    chain = [node("x", "input"), node("c", "conv", "x")]
    for before, op in zip("cpz", ("max_pool", "zero_pad", "flatten"), strict=True):
        chain.append(node({"c": "p", "p": "z", "z": "f"}[before], op, before))
    assert rounding(*chain).ranges == {"x": "x", "c": "c"}


def test_what_is_concatenated_is_rounded_with_one_range() -> None:
    found = rounding(
        node("x", "input"),
        node("a", "conv", "x"),
        node("b", "conv", "x"),
        node("p", "max_pool", "b"),
        node("ab", "concat", "a", "p", axis=3),
        node("c", "conv", "ab"),
        node("abc", "concat", "ab", "c", axis=3),
    )
    assert found.ranges == {"x": "x", **dict.fromkeys(("a", "b", "ab", "c", "abc"), "abc")}
    assert found.learned_nodes == ("x", "abc")


@pytest.mark.parametrize(
    ("function", "low", "high", "scale"),
    [
        ("softmax", 0, 255 / 256, 1 / 256),
        ("sigmoid", 0, 255 / 256, 1 / 256),
        ("tanh", -1, 127 / 128, 1 / 128),
    ],
)
def test_kernels_that_dictate_their_range_get_it(
    function: str, low: int, high: float, scale: float
) -> None:
    """As in TFLite's specification of 8-bit quantization."""
    found = rounding(node("x", "input"), node("s", "activation", "x", function=function))
    assert found.fixed == {"s": (low, high)}
    assert (high - low) / 255 == pytest.approx(scale)
    assert found.learned_nodes == ("x",)


@pytest.mark.parametrize("function", ["elu", "softplus", "relu_of", "exponential"])
def test_a_function_without_an_integer_kernel_is_rounded_before_and_behind(function: str) -> None:
    nodes = node("x", "input"), node("odd", "activation", "x", function=function)
    assert set(rounding(*nodes).ranges) == {"x", "odd"}


def test_an_op_without_a_rule_is_named() -> None:
    with pytest.raises(ConversionError, match=r"m.keras: layer 'odd' .fourier.") as caught:
        rounding(node("x", "input"), node("odd", "fourier", "x"))
    assert "mixed_w8a8" in caught.value.hint
