"""Conversions end to end: the file that was written, judged on held-out samples."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.digest import sha256_of
from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.evidence.golden import read_golden
from converters.request import ConversionRequest
from converters.tflite.reader import read_model
from tests.converters.warm import convert


def is_integer_throughout(conversion: Conversion) -> bool:
    model = read_model(conversion.model)
    names = {operator.name for operator in model.operators}
    ends = {spec.dtype for spec in (*conversion.inputs, *conversion.outputs)}
    floats = [tensor.name for tensor in model.tensors if tensor.dtype.startswith("float")]
    return ends == {"int8"} and not floats and not names & {"QUANTIZE", "DEQUANTIZE"}


def test_ptq_gives_an_integer_file_that_is_as_right_as_the_model(
    digits_ptq: Conversion, digits: Path
) -> None:
    assert is_integer_throughout(digits_ptq)
    assert digits_ptq.float_accuracy.fraction >= 0.97
    assert digits_ptq.accuracy.fraction >= digits_ptq.float_accuracy.fraction - 0.01
    assert digits_ptq.accuracy.samples == digits_ptq.float_accuracy.samples == 359
    assert digits_ptq.model_bytes < 30_000
    assert digits_ptq.warnings == ()


def test_the_evidence_names_what_it_is_about(digits_ptq: Conversion, digits: Path) -> None:
    assert digits_ptq.recipe == "ptq_w8a8"
    assert digits_ptq.recipe_steps == (
        {
            "kind": "ptq_w8a8",
            "calibration_samples": 500,
            "io": "int8",
            "calibration": "minmax",
            "percentile": 99.99,
            "equalize": "never",
            "bias_correction": "never",
            "keep_float": [],
            "keep_int16": [],
        },
    )
    assert digits_ptq.source_sha256 == sha256_of(digits / "digits.keras")
    assert digits_ptq.data_sha256 == sha256_of(digits / "digits.npz")
    assert digits_ptq.source_bytes == (digits / "digits.keras").stat().st_size
    splits = {split.name: (split.samples, split.origin) for split in digits_ptq.splits}
    assert splits["test"] == (359, "x_test")
    assert splits["calibration"] == (500, "some of x_train, every class")
    assert {"python", "tensorflow", "tf-keras", "ai-edge-litert"} <= set(digits_ptq.versions)


def test_golden_inputs_are_what_the_file_takes(digits_ptq: Conversion, digits: Path) -> None:
    golden = read_golden(digits_ptq.golden)
    (name,), (x,) = golden.inputs.keys(), golden.inputs.values()
    assert golden.model_sha256 == digits_ptq.model_sha256
    assert (name, x.shape, x.dtype) == (digits_ptq.inputs[0].name, (359, 8, 8, 1), np.int8)
    with np.load(digits / "digits.npz") as data:
        np.testing.assert_array_equal(golden.labels, data["y_test"])
        back = (x.astype(float) + 128) * digits_ptq.inputs[0].scale
        np.testing.assert_allclose(back, data["x_test"], atol=digits_ptq.inputs[0].scale / 2 + 1e-6)


def test_qat_gives_an_integer_file_and_tells_how_training_goes(digits_qat: tuple[Any, ...]) -> None:
    conversion, reports = digits_qat
    assert is_integer_throughout(conversion)
    assert conversion.recipe == "qat_w8a8"
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.01
    training = [report for report in reports if report.stage == "train"]
    found = re.fullmatch(r"epoch (\d+)/(\d+), loss 0\.\d+, accuracy [01]\.\d+", training[-1].detail)
    done, most = map(int, found.groups())
    # It ends when no epoch is better than those before, and says then that it is done.
    assert done == conversion.step_records[0].found["epochs"] <= most
    assert training[-1].done == training[-1].total == most * -(-1295 // 64)


def test_the_same_seed_gives_the_same_file(
    digits_qat: tuple[Any, ...], digits_request: ConversionRequest, tmp_path: Path
) -> None:
    again = convert(replace(digits_request, recipe="qat_w8a8", out=tmp_path / "again"))
    assert again.model_sha256 == digits_qat[0].model_sha256


def test_float32_writes_the_model_as_it_is(
    digits_request: ConversionRequest, tmp_path: Path
) -> None:
    conversion = convert(replace(digits_request, recipe="float32", out=tmp_path / "out"))
    assert conversion.accuracy == conversion.float_accuracy
    assert conversion.inputs[0].dtype == "float32"
    assert conversion.recipe_steps == ()
    golden = read_golden(conversion.golden)
    assert next(iter(golden.inputs.values())).dtype == np.float32


@pytest.mark.parametrize(
    "name",
    [
        "keras3.keras",
        "keras3.h5",
        "keras3_sequential.keras",
        "keras3_export",
        "keras2.h5",
        "keras2_saved",
        "logits.h5",
    ],
)
def test_ptq_takes_every_kind_of_model(
    zoo: Path, digits_request: ConversionRequest, tmp_path: Path, name: str
) -> None:
    conversion = convert(replace(digits_request, model=zoo / name, out=tmp_path / "out"))
    assert is_integer_throughout(conversion)
    assert conversion.float_accuracy.fraction > 0.85
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.02


@pytest.mark.parametrize("recipe", ["ptq_w8a8", "qat_w8a8"])
def test_one_output_tells_two_classes_apart(
    zoo: Path, digits_request: ConversionRequest, tmp_path: Path, recipe: str
) -> None:
    request = replace(digits_request, model=zoo / "odd_or_even.h5", data=zoo / "odd_or_even.npz")
    conversion = convert(replace(request, recipe=recipe, out=tmp_path / "out"))
    assert is_integer_throughout(conversion)
    assert conversion.outputs[0].shape == (1, 1)
    assert conversion.float_accuracy.fraction > 0.85
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.02


def test_qat_takes_a_saved_tf_keras_model_that_gives_logits(
    zoo: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    request = replace(digits_request, model=zoo / "logits.h5", recipe="qat_w8a8")
    conversion = convert(replace(request, out=tmp_path / "out"))
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.02


@pytest.mark.parametrize("name", ["lambda_saved", "custom_saved"])
def test_a_saved_model_with_code_of_its_own_is_taken_as_a_graph(
    zoo: Path, digits_request: ConversionRequest, tmp_path: Path, name: str
) -> None:
    conversion = convert(replace(digits_request, model=zoo / name, out=tmp_path / "out"))
    assert is_integer_throughout(conversion)


@pytest.mark.parametrize("name", ["keras3_sequential.keras", "keras3.h5"])
def test_qat_takes_keras_3(
    zoo: Path, digits_request: ConversionRequest, tmp_path: Path, name: str
) -> None:
    request = replace(digits_request, model=zoo / name, recipe="qat_w8a8", out=tmp_path / "out")
    conversion = convert(request)
    assert is_integer_throughout(conversion)
    assert conversion.float_accuracy.fraction > 0.85
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.02


@pytest.mark.parametrize("name", ["nested.h5", "late_norm.h5"])
def test_qat_takes_a_model_in_a_model_and_a_normalization_anywhere(
    zoo: Path, digits_request: ConversionRequest, tmp_path: Path, name: str
) -> None:
    request = replace(digits_request, model=zoo / name, recipe="qat_w8a8", out=tmp_path / "out")
    assert is_integer_throughout(convert(request))


@pytest.mark.parametrize("name", ["keras3_export", "custom_saved"])
def test_qat_of_what_it_cannot_train_points_to_ptq(
    zoo: Path, digits_request: ConversionRequest, tmp_path: Path, name: str
) -> None:
    request = replace(digits_request, model=zoo / name, recipe="qat_w8a8", out=tmp_path / "out")
    with pytest.raises(
        ConversionError, match=f"{name}: is a SavedModel whose Keras layers"
    ) as caught:
        convert(request)
    assert "ptq_w8a8" in caught.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["softplus.h5", "layer_norm.h5"])
def test_qat_trains_around_a_layer_that_computes_in_floats(
    zoo: Path, digits_request: ConversionRequest, tmp_path: Path, name: str
) -> None:
    request = replace(digits_request, model=zoo / name, recipe="qat_w8a8", out=tmp_path / "out")
    conversion = convert(request)
    assert any("'odd' computes in floats" in warning for warning in conversion.warnings)
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.02
    assert {spec.dtype for spec in (*conversion.inputs, *conversion.outputs)} == {"int8"}


def test_images_in_the_wrong_range_are_warned_about(
    zoo: Path, digits: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    """A model that is right on 0-16 and near chance on what it is given."""
    with np.load(digits / "digits.npz") as data:
        shifted = {n: (x + 3) % 10 if n == "y_test" else x for n, x in data.items()}
    np.savez(tmp_path / "shifted.npz", **shifted)
    request = replace(digits_request, data=tmp_path / "shifted.npz", out=tmp_path / "out")
    (warning,) = convert(request).warnings
    assert "near the chance of 10.0%" in warning
    assert "--image-range" in warning


def test_few_calibration_samples_are_warned_about(
    digits: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    with np.load(digits / "digits.npz") as data:
        few = {n: x[:100] if n.endswith("train") else x for n, x in data.items()}
    np.savez(tmp_path / "few.npz", **few)
    request = replace(digits_request, data=tmp_path / "few.npz", out=tmp_path / "out")
    (warning,) = convert(request).warnings
    assert "only 50 of 500 calibration samples" in warning
