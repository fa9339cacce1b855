"""Networks of the grammar: their shapes, and recipes that are refused. NumPy only."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from converters.graph.cost import macs
from converters.graph.fold import fold_graph
from converters.graph.node import INPUT, Node
from converters.recipe.recipe import RecipeError, parse_recipe
from converters.recipe.student_step import Stage, Student
from converters.student.grammar import student_graph

KINDS = ("residual", "plain", "separable", "inverted", "inverted_se")


def image(*shape: int) -> Node:
    return Node("image", INPUT, (), shape)


@pytest.mark.parametrize("block", KINDS)
@pytest.mark.parametrize(("shape", "last"), [((9, 8, 3), (5, 4)), ((50, 3), (1, 25))])
def test_every_block_has_its_width_and_stride(
    block: str, shape: tuple[int, ...], last: tuple[int, int]
) -> None:
    step = Student(stem_width=4, stages=(Stage(block, width=6, depth=2, stride=2),))
    graph = student_graph(step, image(*shape), 10, "softmax", 0)
    (scores,) = (graph.by_name()[name] for name in graph.outputs)
    mean = graph.by_name()["mean"]
    assert scores.shape == (10,)
    assert graph.by_name()[mean.inputs[0]].shape == (*last, 6)
    assert macs(fold_graph(graph)) == macs(graph) > 0


def test_the_seed_decides_the_weights() -> None:
    step = Student(stages=(Stage(),))
    one, same, other = (
        student_graph(step, image(8, 8, 3), 10, "softmax", seed) for seed in (0, 0, 1)
    )
    kernels = [graph.weights["stem"]["kernel"] for graph in (one, same, other)]
    assert np.array_equal(kernels[0], kernels[1])
    assert not np.array_equal(kernels[0], kernels[2])


def test_a_vector_has_dense_stages_alone() -> None:
    step = Student(stem_width=0, stages=(Stage("dense", width=7, depth=2),))
    graph = student_graph(step, image(5), 1, "sigmoid", 0)
    assert [node.op for node in graph.nodes if node.weights] == ["dense"] * 3
    assert macs(graph) == 5 * 7 + 7 * 7 + 7


def test_a_recipe_has_the_stages_as_tables() -> None:
    table = {"kind": "student", "stem_stride": 2, "stages": [{"width": 8, "depth": 2}]}
    recipe = parse_recipe({"schema": 1, "step": [table]}, "mine.toml")
    assert recipe.name == "student16s2-r8x2"
    assert recipe.steps == (Student(stem_stride=2, stages=(Stage(width=8, depth=2),)),)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "has no stages"),
        ({"stages": 3}, "expected a list of tables"),
        ({"stages": [{"widht": 8}]}, "number 1: field 'widht' is unknown"),
        ({"stages": [{"width": 0}]}, "number 1: width is 0"),
        ({"stages": [{"block": "dense"}, {}]}, "mixes dense stages"),
        ({"stages": [{"block": "dense", "stride": 2}]}, "a vector has no places"),
        ({"stages": [{}], "stem_width": 0, "stem_stride": 2}, "but no stem"),
    ],
)
def test_stages_that_do_not_fit_are_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        parse_recipe({"schema": 1, "step": [{"kind": "student", **fields}]}, "mine.toml")
