"""Which recipe is tried next when one loses too much."""

from __future__ import annotations

from typing import Any

import pytest

from converters.recipe.milder import MOST_ATTEMPTS, may_be_tried, milder_recipe
from converters.recipe.number_steps import MixedW8A8, PtqF16, PtqW8A8
from converters.recipe.recipe import Recipe
from converters.recipe.shape_steps import PruneChannels
from converters.recipe.step_kinds import STEP_KINDS
from converters.recipe.training_steps import (
    ClusterWeights,
    Distill,
    FineTune,
    QatW8A8,
    SparseWeights,
)


def names(recipe: Recipe) -> list[str]:
    """Recipes from this one to the mildest, if the first step always lost most."""
    found = []
    while recipe is not None:
        found.append(recipe.name)
        drops = [0.5, *[0.5] * (len(recipe.steps) - 1)]
        recipe = milder_recipe(recipe, drops, 0.5, 0.01)
    return found


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (SparseWeights(sparsity=0.9), ["sparse90", "sparse80", "sparse60", "sparse40"]),
        (SparseWeights(sparsity=0.5, pattern="2:4", schedule="constant"), ["sparse2of4"]),
        (ClusterWeights(clusters=8), ["cluster8", "cluster16", "cluster32", "cluster64"]),
        (PruneChannels(macs_ratio=0.5), ["channels50", "channels40", "channels25", "channels10"]),
        (PruneChannels(latency_ratio=0.7), ["channels30latency", "channels25latency",
                                            "channels10latency"]),
        (PtqW8A8(), ["ptq_w8a8", "mixed_w8a8", "ptq_f16"]),
        (QatW8A8(epochs=2), ["qat_w8a8", "qat_w8a8", "ptq_f16"]),
    ],
)  # fmt: skip
def test_every_step_gets_milder_until_nothing_is_left(step: Any, expected: list[str]) -> None:
    assert names(Recipe((step,), "")) == expected


def test_every_ladder_of_every_kind_ends() -> None:
    for kind in STEP_KINDS.values():
        if kind in (PruneChannels, STEP_KINDS["blocks"]):
            continue  # take a value without which they are not
        assert len(names(Recipe((kind(),), ""))) <= MOST_ATTEMPTS


def test_the_step_that_lost_most_is_the_one_that_changes() -> None:
    recipe = Recipe((SparseWeights(), QatW8A8()), "")
    assert milder_recipe(recipe, [0.03, None], 0.04, 0.01).name == "sparse60_qat_w8a8"
    assert milder_recipe(recipe, [0.01, None], 0.04, 0.01).name == "sparse80_ptq_f16"


def test_what_training_wins_back_is_not_lost() -> None:
    steps = (PruneChannels(macs_ratio=0.5), Distill(), SparseWeights(), PtqW8A8())
    recipe = Recipe(steps, "")
    drops = [0.60, 0.01, 0.05, None]  # pruning ruins, distillation mends; then zeros lose most
    assert milder_recipe(recipe, drops, 0.06, 0.02).steps[2].sparsity == 0.6
    drops = [0.60, 0.20, 0.21, None]
    assert milder_recipe(recipe, drops, 0.22, 0.02).steps[0].macs_ratio == 0.6


def test_what_is_left_out_takes_its_training_along() -> None:
    steps = (PruneChannels(macs_ratio=0.9), FineTune(), PtqW8A8())
    assert milder_recipe(Recipe(steps, ""), [0.5, 0.4, None], 0.4, 0.01).steps == (PtqW8A8(),)


def test_mixed_precision_keeps_the_same_budget() -> None:
    milder = milder_recipe(Recipe((PtqW8A8(io="uint8"),), ""), [None], 0.5, 0.003)
    assert milder.steps == (MixedW8A8(io="uint8", max_drop=0.003),)


def test_a_model_in_floats_is_no_answer() -> None:
    assert milder_recipe(Recipe((PtqF16(),), ""), [None], 0.5, 0.01) is None
    assert milder_recipe(Recipe((), ""), [], 0.5, 0.01) is None


def test_all_that_may_come_is_known_before() -> None:
    found = may_be_tried(Recipe((SparseWeights(), PtqW8A8()), ""))
    assert {step.label for step in found} == {
        "sparse80", "sparse60", "sparse40", "ptq_w8a8", "mixed_w8a8", "ptq_f16"
    }  # fmt: skip
