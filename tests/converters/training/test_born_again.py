"""The original model, trained further before it teaches: once for all steps that agree in it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters.recipe.recipe import RecipeError, parse_recipe
from converters.request import ConversionRequest
from tests.converters.warm import convert

RECIPE = """
schema = 1
[[step]]
kind = "{kind}"
epochs = 1
learning_rate = 1e-4
batch_size = 128
born_again = {epochs}
alpha = {alpha}
{more}
"""


class Stages(list):
    """Stages that a conversion reported."""

    def __call__(self, progress: Any) -> None:
        if progress.stage not in self:
            self.append(progress.stage)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("born_again")


def run(
    folder: Path, request: ConversionRequest, kind: str, alpha: float = 0.8, more: str = ""
) -> tuple[Any, Stages]:
    """A conversion with a teacher that was trained for two epochs, and its stages."""
    recipe = folder / "mine.toml"
    recipe.write_text(RECIPE.format(kind=kind, epochs=2, alpha=alpha, more=more))
    stages = Stages()
    out = folder / f"{kind} {alpha:g}"
    request = replace(request, recipe=str(recipe), out=out, cache=folder / "cache")
    return convert(request, stages), stages


@pytest.fixture(scope="module")
def first(folder: Path, digits_request: ConversionRequest) -> tuple[Any, Stages]:
    return run(folder, digits_request, "distill")


def test_the_better_one_teaches_and_the_record_says_so(first: tuple[Any, Stages]) -> None:
    (record,) = first[0].step_records
    facts = record.found["born_again"]
    assert facts["epochs"] == 2
    is_better = facts["validation_drop"] <= 0
    assert facts["teaches"] == ("born again" if is_better else "original")


def test_steps_that_agree_share_one_teacher(
    first: tuple[Any, Stages], folder: Path, digits_request: ConversionRequest
) -> None:
    assert "teacher: distill" in first[1]
    more = 'teacher = "original"\nfeatures = "attention"'
    conversion, stages = run(folder, digits_request, "qat_w8a8", 0.5, more)
    assert "teacher: distill is cached" in stages
    assert "teacher: distill" not in stages
    (record,) = conversion.step_records
    assert record.found["born_again"] == first[0].step_records[0].found["born_again"]


@pytest.mark.parametrize(
    ("step", "words"),
    [
        ({"kind": "qat_w8a8"}, "born_again is 3, but there is no teacher"),
        ({"kind": "distill", "teachers": ["a.h5"]}, "the original model does not teach"),
        ({"kind": "tune"}, "'born_again' is unknown"),
    ],
)
def test_only_the_original_is_born_again(tmp_path: Path, step: dict[str, Any], words: str) -> None:
    (tmp_path / "a.h5").touch()
    with pytest.raises(RecipeError, match=words):
        parse_recipe(
            {"schema": 1, "step": [{**step, "born_again": 3}]}, str(tmp_path / "mine.toml")
        )
