"""Recipes that replace layers: the file has the new layers, and is about as right as before."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.request import ConversionRequest
from converters.tflite.reader import read_model
from tests.converters.conftest import run_program
from tests.converters.warm import convert

TRAINING = """
[[step]]
kind = "distill"
epochs = 4
learning_rate = 2e-3
[[step]]
kind = "ptq_w8a8"
"""


@pytest.fixture(scope="module")
def smooth_digits(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("smooth") / "smooth.keras"
    run_program("smooth_digits", path, digits / "digits.npz")
    return path


def convert_with(
    step: str, model: Path, request: ConversionRequest, folder: Path, training: str = TRAINING
) -> Conversion:
    recipe = folder / "mine.toml"
    recipe.write_text(f"schema = 1\n[[step]]\n{step}\n{training}")
    return convert(replace(request, model=model, recipe=str(recipe), out=folder / "out"))


def ops(path: Path) -> list[str]:
    return [op.name for op in read_model(path).operators for _ in range(op.count)]


@pytest.mark.parametrize(
    ("step", "label", "op", "count"),
    [
        ('kind = "low_rank"\nmacs_ratio = 0.5', "lowrank50", "FULLY_CONNECTED", 4),
        ('kind = "separable"\nmacs_ratio = 0.9', "separable10", "DEPTHWISE_CONV_2D", 1),
    ],
)
def test_layers_become_two_smaller_ones(
    smooth_digits: Path,
    digits_request: ConversionRequest,
    tmp_path: Path,
    step: str,
    label: str,
    op: str,
    count: int,
) -> None:
    conversion = convert_with(step, smooth_digits, digits_request, tmp_path)
    found = conversion.step_records[0].found
    before, after = found["macs"]
    assert conversion.recipe == f"{label}_distill_ptq_w8a8"
    assert after / before == pytest.approx(1 - int(label[-2:]) / 100, abs=0.06)
    assert ops(conversion.model).count(op) == count
    assert {layer["layer"] for layer in found["replaced"]} <= {"stem", "pointwise", "wide"}
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.03


def test_smooth_activations_become_what_an_integer_kernel_has(
    smooth_digits: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    step = 'kind = "activation"\nto = "relu6"'
    conversion = convert_with(step, smooth_digits, digits_request, tmp_path)
    found = conversion.step_records[0].found
    assert found["replaced"] == {"swish": 2, "gelu": 1}
    assert {"LOGISTIC", "GELU", "MUL"}.isdisjoint(ops(conversion.model))
    assert "TANH" in ops(conversion.model)  # a gate, or a tanh, is replaced by name alone
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.03


@pytest.mark.parametrize(
    ("step", "message", "hint"),
    [
        ('kind = "activation"\nreplace = ["elu"]', "has no activation elu", "Name one of them"),
        ('kind = "low_rank"\nmultiple = 256', "no layer that low_rank makes cheaper", "channels"),
    ],
)
def test_a_model_without_such_layers_is_told_what_it_has(
    smooth_digits: Path,
    digits_request: ConversionRequest,
    tmp_path: Path,
    step: str,
    message: str,
    hint: str,
) -> None:
    with pytest.raises(ConversionError, match=message) as caught:
        convert_with(step, smooth_digits, digits_request, tmp_path)
    assert hint in caught.value.hint
    assert not (tmp_path / "out").exists()
