"""Which blocks a model can do without, which of them go, and what is left of the file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.errors import ConversionError
from converters.graph.cost import macs
from converters.graph.node import Graph, Node
from converters.prune_blocks.blocks import optional_blocks, without_block
from converters.prune_blocks.choose import remove_cheapest_blocks, remove_named
from converters.recipe.recipe import RecipeError, load_recipe, names_of_built_ins
from converters.request import ConversionRequest
from converters.tflite.reader import read_model
from tests.converters.conftest import run_program
from tests.converters.warm import convert

PLAIN = {"strides": (1, 1), "padding": "same", "dilation": (1, 1), "groups": 1}
RECIPE = """
schema = 1
[[step]]
kind = "blocks"
{aim}
"""
TRAINING = """
[[step]]
kind = "distill"
epochs = 3
learning_rate = 1e-3
[[step]]
kind = "qat_w8a8"
epochs = 1
learning_rate = 1e-4
"""


def conv(name: str, source: str, width: int) -> Node:
    return Node(name, "conv", (source,), (4, 4, width), PLAIN, name)


def relu(name: str, source: str, width: int) -> Node:
    return Node(name, "activation", (source,), (4, 4, width), {"function": "relu"})


def kernel(inputs: int, outputs: int) -> dict[str, np.ndarray]:
    return {
        "kernel": np.ones((3, 3, inputs, outputs), np.float32),
        "bias": np.zeros(outputs, np.float32),
    }


@pytest.fixture
def residual() -> Graph:
    """A stem; a block with an identity, one with a projection; a layer of one shape; the output."""
    nodes = [
        Node("image", "input", (), (4, 4, 3)),
        conv("stem", "image", 8),
        relu("stem_relu", "stem", 8),
        conv("a1", "stem_relu", 4),
        conv("a2", "a1", 8),
        Node("a", "add", ("stem_relu", "a2"), (4, 4, 8)),
        relu("a_relu", "a", 8),
        conv("short", "a_relu", 16),
        conv("b1", "a_relu", 16),
        relu("b1_relu", "b1", 16),
        conv("b2", "b1_relu", 16),
        Node("b", "add", ("b2", "short"), (4, 4, 16)),
        conv("same", "b", 16),
        relu("same_relu", "same", 16),
        conv("out", "same_relu", 16),
    ]
    shapes = dict(stem=(3, 8), a1=(8, 4), a2=(4, 8), short=(8, 16), b1=(8, 16), b2=(16, 16))
    shapes |= dict(same=(16, 16), out=(16, 16))
    weights = {name: kernel(*shape) for name, shape in shapes.items()}
    return Graph("m", tuple(nodes), ("out",), weights)


def test_what_a_shortcut_or_an_equal_shape_makes_optional_is_found(residual: Graph) -> None:
    found = {block.name: block for block in optional_blocks(residual)}
    assert found["a"].stand_in == "stem_relu"
    assert found["a"].nodes == ("a1", "a2", "a")
    assert found["b"].stand_in == "short"  # a projection stays, the branch beside it goes
    assert found["b"].nodes == ("b1", "b1_relu", "b2", "b")
    assert found["same_relu"].stand_in == "b"
    assert found["same_relu"].nodes == ("same", "same_relu")
    # Neither what gives the answers, nor what takes the image, nor what changes the shape.
    assert {"out", "stem_relu", "a1", "b1_relu"}.isdisjoint(found)


def test_each_block_costs_what_is_gone_with_it(residual: Graph) -> None:
    for block in optional_blocks(residual):
        left = without_block(residual, block)
        assert macs(left) == macs(residual) - block.macs < macs(residual)
        assert set(left.weights) == {node.weights for node in left.nodes if node.weights}
        assert left.by_name()["out"].shape == (4, 4, 16)


def test_no_relu_is_left_behind_the_same_relu(residual: Graph) -> None:
    block = next(block for block in optional_blocks(residual) if block.name == "a")
    left = without_block(residual, block)
    assert "a_relu" not in left.by_name()
    assert left.by_name()["short"].inputs == ("stem_relu",)


def test_the_block_whose_absence_harms_least_goes_first(residual: Graph) -> None:
    harm = {"a1": 3.0, "b1": 1.0, "same": 2.0, "b2": 5.0}

    def loss(graph: Graph) -> float:
        return sum(value for name, value in harm.items() if name not in graph.by_name())

    _, (first, second) = remove_cheapest_blocks(residual, loss, macs_ratio=0.0, count=2)
    assert (first.block.name, first.loss) == ("same_relu", 2.0)
    assert (second.block.name, second.loss) == ("a", 5.0)


def test_parts_go_until_so_many_macs_are_left(residual: Graph) -> None:
    left, gone = remove_cheapest_blocks(residual, lambda _: 0.0, macs_ratio=0.6, count=0)
    assert macs(left) <= 0.6 * macs(residual)
    assert macs(left) + sum(removal.block.macs for removal in gone) == macs(residual)


def test_the_named_blocks_go_in_their_order(residual: Graph) -> None:
    left, gone = remove_named(residual, lambda graph: float(len(graph.nodes)), ["b", "a"], "m")
    assert [removal.block.name for removal in gone] == ["b", "a"]
    assert gone[0].loss > gone[1].loss == len(left.nodes)
    assert {"a1", "a2", "b1", "b2"}.isdisjoint(left.by_name())


@pytest.mark.parametrize(
    ("names", "said"),
    [(["stem"], "'stem' is not a block"), (["a", "a"], "'a' is not a block .* once a went")],
)
def test_a_name_that_is_none_is_answered_with_those_that_are(
    residual: Graph, names: list[str], said: str
) -> None:
    with pytest.raises(ConversionError, match=said) as caught:
        remove_named(residual, lambda _: 0.0, names, "m")
    assert "b, same_relu" in caught.value.hint


@pytest.fixture(scope="module")
def residual_digits(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("residual") / "residual.keras"
    run_program("residual_digits", path, digits / "digits.npz")
    return path


def convolutions(path: Path) -> int:
    names = {"CONV_2D", "DEPTHWISE_CONV_2D"}
    return sum(op.count for op in read_model(path).operators if op.name in names)


def test_a_quarter_of_the_macs_goes_with_blocks(
    residual_digits: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    reports, recipe = [], tmp_path / "mine.toml"
    recipe.write_text(RECIPE.format(aim="macs_ratio = 0.75") + TRAINING)
    request = replace(digits_request, model=residual_digits, recipe=str(recipe))
    conversion = convert(replace(request, out=tmp_path / "out"), reports.append)
    found = conversion.step_records[0].found
    before, after = found["macs"]
    assert conversion.recipe in names_of_built_ins()
    gone = {layer for block in found["removed"] for layer in block["layers"]}
    assert after / before == pytest.approx(0.75, abs=0.1)
    assert before - after == sum(block["macs"] for block in found["removed"])
    assert convolutions(conversion.model) == 8 - sum("conv" in layer for layer in gone)
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.03
    assert {"leave out blocks", "reconstruct layers"} <= {report.stage for report in reports}


def test_a_named_block_is_not_in_the_file(
    residual_digits: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(RECIPE.format(aim='remove = ["add_1"]'))
    request = replace(digits_request, model=residual_digits, recipe=str(recipe))
    conversion = convert(replace(request, out=tmp_path / "out"))
    (gone,) = conversion.step_records[0].found["removed"]
    assert gone["block"] == "add_1"
    assert convolutions(conversion.model) == 8 - sum("conv" in layer for layer in gone["layers"])
    recipe.write_text(RECIPE.format(aim='remove = ["add_9"]'))
    with pytest.raises(ConversionError, match="'add_9' is not a block") as caught:
        convert(replace(request, recipe=str(recipe), out=tmp_path / "other"))
    assert "add_1" in caught.value.hint


def test_a_model_without_optional_blocks_is_named(
    zoo: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(RECIPE.format(aim="count = 1"))
    request = replace(digits_request, model=zoo / "nested.h5", recipe=str(recipe))
    with pytest.raises(ConversionError, match="no block that it can do without") as caught:
        convert(replace(request, out=tmp_path / "out"))
    assert "channels" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_more_blocks_than_there_are_is_refused(
    digits_request: ConversionRequest, tmp_path: Path
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(RECIPE.format(aim="count = 50"))
    with pytest.raises(ConversionError, match="50 were asked for") as caught:
        convert(replace(digits_request, recipe=str(recipe), out=tmp_path / "out"))
    assert "count = 1" in caught.value.hint


@pytest.mark.parametrize(
    ("aim", "name"),
    [
        ("count = 2", "2blocks"),
        ("macs_ratio = 0.6", "blocks40"),
        ('remove = ["add", "add_1"]', "without2blocks"),
    ],
)
def test_the_name_of_a_recipe_tells_how_many_blocks_go(tmp_path: Path, aim: str, name: str) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(RECIPE.format(aim=aim))
    assert load_recipe(str(recipe)).name == name


@pytest.mark.parametrize(
    ("aim", "said"),
    [
        ("", "nothing given"),
        ("count = 2\nmacs_ratio = 0.5", "macs_ratio and count given"),
        ('count = 2\nremove = ["add"]', "count and remove given"),
        ('remove = "add"', "expected a list of names"),
        ('remove = ["add", "add"]', "names 'add' twice"),
    ],
)
def test_blocks_are_told_how_much_how_many_or_which(tmp_path: Path, aim: str, said: str) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(RECIPE.format(aim=aim))
    with pytest.raises(RecipeError, match=said):
        load_recipe(str(recipe))
