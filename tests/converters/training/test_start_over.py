"""The baseline of every pruning: the same shape, trained from scratch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from converters.evidence.conversion import Conversion
from converters.request import ConversionRequest
from tests.converters.warm import convert

RECIPE = """
schema = 1
[[step]]
kind = "scratch"
"""

TRAINED = """
[[step]]
kind = "tune"
epochs = 4
batch_size = 32
"""


def _converted(digits_request: ConversionRequest, folder: Path, recipe: str) -> Conversion:
    path = folder / f"{len(recipe)}.toml"
    path.write_text(recipe)
    return convert(replace(digits_request, recipe=str(path), out=folder / path.stem))


def test_what_was_learned_is_forgotten_and_can_be_learned_again(
    digits_request: ConversionRequest, tmp_path: Path
) -> None:
    forgotten = _converted(digits_request, tmp_path, RECIPE)
    learned = _converted(digits_request, tmp_path, RECIPE + TRAINED)
    assert (forgotten.recipe, learned.recipe) == ("scratch", "scratch_tune")
    assert forgotten.cost.macs == learned.cost.macs
    assert forgotten.accuracy.fraction < 0.4 < forgotten.float_accuracy.fraction
    assert learned.accuracy.fraction > forgotten.accuracy.fraction + 0.3
