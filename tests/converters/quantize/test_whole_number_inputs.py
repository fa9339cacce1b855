"""Inputs of whole numbers: numbers of words, users and items, and pixels as uint8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.evidence.golden import read_golden
from converters.request import ConversionRequest
from tests.converters.conftest import run_program
from tests.converters.warm import convert


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole_numbers")
    run_program("whole_number_models", folder)
    return folder


def convert_model(models: Path, name: str, recipe: str, out: Path) -> Conversion:
    data = (models / name).with_suffix(".npz")
    return convert(ConversionRequest(models / name, data, recipe, out))


def lost(conversion: Conversion) -> float:
    assert conversion.float_accuracy is not None and conversion.accuracy is not None
    return conversion.float_accuracy.fraction - conversion.accuracy.fraction


@pytest.mark.parametrize("recipe", ["float32", "ptq_dynamic", "ptq_w8a8", "mixed_w8a8"])
@pytest.mark.parametrize("name", ["text.keras", "old_text.h5"])
def test_text_keeps_its_word_numbers(models: Path, tmp_path: Path, name: str, recipe: str) -> None:
    conversion = convert_model(models, name, recipe, tmp_path)
    assert [(spec.dtype, spec.scale) for spec in conversion.inputs] == [("int32", None)]
    assert lost(conversion) < 0.03


@pytest.mark.parametrize("recipe", ["qat_w8a8", "sparse80_qat_w8a8", "cluster16_qat_w8a8"])
def test_text_trains_and_prunes(models: Path, tmp_path: Path, recipe: str) -> None:
    conversion = convert_model(models, "text.keras", recipe, tmp_path)
    assert conversion.inputs[0].dtype == "int32"
    assert conversion.outputs[0].dtype == "int8"
    if recipe == "sparse80_qat_w8a8":
        assert any("embedding" in name for name in conversion.step_records[0].found["zeros"])
    else:
        assert lost(conversion) < 0.03


@pytest.mark.parametrize("recipe", ["float32", "ptq_w8a8", "qat_w8a8"])
def test_inputs_of_numbers_beside_floats(models: Path, tmp_path: Path, recipe: str) -> None:
    conversion = convert_model(models, "reco.keras", recipe, tmp_path)
    real = "float32" if recipe == "float32" else "int8"
    expected = {"user": "int64", "item": "int32", "facts": real}
    assert {spec.name: spec.dtype for spec in conversion.inputs} == expected
    assert lost(conversion) < 0.03
    assert conversion.golden is not None
    golden = read_golden(conversion.golden)
    assert {name: x.dtype.name for name, x in golden.inputs.items()} == expected


@pytest.mark.parametrize("recipe", ["float32", "ptq_w8a8", "qat_w8a8"])
def test_pixels_stay_what_they_are(models: Path, tmp_path: Path, recipe: str) -> None:
    conversion = convert_model(models, "picture.keras", recipe, tmp_path)
    assert [(spec.dtype, spec.scale) for spec in conversion.inputs] == [("uint8", None)]
    assert lost(conversion) < 0.02


def test_a_word_that_the_vocabulary_lacks_is_named(models: Path, tmp_path: Path) -> None:
    with np.load(models / "text.npz") as file:
        arrays = dict(file)
    arrays["x_test"][3, 0] = 200
    np.savez(tmp_path / "data.npz", **arrays)
    request = ConversionRequest(
        models / "text.keras", tmp_path / "data.npz", "float32", tmp_path / "out"
    )
    with pytest.raises(ConversionError, match="200"):
        convert(request)


def test_fractions_are_no_word_numbers(models: Path, tmp_path: Path) -> None:
    with np.load(models / "text.npz") as file:
        arrays = dict(file)
    arrays["x_test"] = arrays["x_test"] + 0.5
    np.savez(tmp_path / "data.npz", **arrays)
    request = ConversionRequest(
        models / "text.keras", tmp_path / "data.npz", "float32", tmp_path / "out"
    )
    with pytest.raises(ConversionError, match="the model takes int32: whole numbers"):
        convert(request)


@pytest.mark.parametrize("recipe", ["ptq_w8a8", "mixed_w8a8", "qat_w8a8"])
def test_word_numbers_as_floats_are_not_rounded(models: Path, tmp_path: Path, recipe: str) -> None:
    conversion = convert_model(models, "float_words.keras", recipe, tmp_path)
    assert [(spec.dtype, spec.scale) for spec in conversion.inputs] == [("float32", None)]
    assert conversion.outputs[0].dtype == "int8"
    assert lost(conversion) < 0.03
    assert conversion.input_rounding is None


def test_a_recipe_that_must_round_the_input_tells_what_that_costs(
    models: Path, tmp_path: Path
) -> None:
    conversion = convert_model(models, "table.keras", "ptq_w8a8", tmp_path)
    assert conversion.input_rounding is not None
    assert conversion.input_rounding.fraction > 0.1
    (note,) = [w for w in conversion.warnings if "rounding of the input" in w]
    assert f"{conversion.input_rounding.fraction:.1%}" in note


def test_a_file_that_the_runtime_cannot_run_is_refused_before_training(
    models: Path, tmp_path: Path
) -> None:
    """The numbers of this table are from 0.001 to 100,000, which one scale cannot hold."""
    with pytest.raises(
        ConversionError, match=r"table.keras: in 8 bits, .* cannot run it"
    ) as caught:
        convert_model(models, "table.keras", "qat_w8a8", tmp_path)
    assert "mixed_w8a8" in caught.value.hint
    assert "again" not in caught.value.hint


def test_mixed_keeps_an_input_in_floats_where_its_rounding_costs_too_much(
    models: Path, tmp_path: Path
) -> None:
    conversion = convert_model(models, "table.keras", "mixed_w8a8", tmp_path)
    assert conversion.inputs[0].dtype == "float32"
    assert lost(conversion) < 0.02
    assert any("stays floats" in warning for warning in conversion.warnings)
    assert not any("ptq_w8a16" in warning for warning in conversion.warnings)
