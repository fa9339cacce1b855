"""What decides a step, and what does not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from converters.data.dataset import CALIBRATION, TRAIN, VALIDATION, Selection
from converters.recipe.number_steps import PtqW8A8
from converters.recipe.recipe import Recipe
from converters.recipe.shape_steps import PruneChannels
from converters.recipe.training_steps import FineTune, SparseWeights
from converters.work.step_keys import StepKeys, row_digests

ROWS = row_digests(
    {
        TRAIN: Selection(TRAIN, np.arange(100)),
        VALIDATION: Selection(TRAIN, np.arange(100, 110)),
        CALIBRATION: Selection(TRAIN, np.arange(110, 120)),
    }
)
KEYS = StepKeys("model", "data", "0..255", 0, "", ROWS)
RECIPE = Recipe((PruneChannels(macs_ratio=0.5), FineTune(), SparseWeights(), PtqW8A8()), "")


def shared(keys: StepKeys, recipe: Recipe = RECIPE) -> int:
    """How many steps from the first on need not be done again."""
    pairs = zip(KEYS.of(RECIPE), keys.of(recipe), strict=False)
    return sum(one == other for one, other in pairs)


def test_the_same_is_the_same() -> None:
    assert shared(KEYS) == 4
    assert len({*KEYS.of(RECIPE), KEYS.of_file(RECIPE)}) == 5


@pytest.mark.parametrize("field", ["model_sha256", "data_sha256"])
def test_a_recipe_without_steps_is_another_file_for_another_model(field: str) -> None:
    nothing = Recipe((), "")
    assert KEYS.of_file(nothing) == KEYS.of_file(nothing)
    assert KEYS.of_file(nothing) != replace(KEYS, **{field: "x"}).of_file(nothing)


@pytest.mark.parametrize(
    ("field", "value"),
    [("model_sha256", "x"), ("data_sha256", "x"), ("image_range", "0..1"), ("seed", 1)],
)
def test_what_comes_in_decides_every_step(field: str, value: int | str) -> None:
    assert shared(replace(KEYS, **{field: value})) == 0


def test_a_value_decides_its_step_and_those_behind_it() -> None:
    steps = list(RECIPE.steps)
    steps[1] = FineTune(learning_rate=0.1)
    assert shared(KEYS, Recipe(tuple(steps), "")) == 1
    assert shared(KEYS, Recipe(RECIPE.steps[:3], "another sentence")) == 3


def test_samples_decide_the_steps_that_use_them() -> None:
    others = row_digests({CALIBRATION: Selection(TRAIN, np.arange(111, 120))})
    assert shared(replace(KEYS, rows={**ROWS, **others})) == 3
    others = row_digests({TRAIN: Selection(TRAIN, np.arange(99))})
    assert shared(replace(KEYS, rows={**ROWS, **others})) == 0


def test_where_latency_is_measured_decides_pruning_alone() -> None:
    assert shared(replace(KEYS, measured_on="pi (pi@10.0.0.2)")) == 0
    recipe = Recipe(RECIPE.steps[1:], "")
    assert KEYS.of(recipe) == replace(KEYS, measured_on="pi").of(recipe)
