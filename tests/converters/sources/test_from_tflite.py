"""A float .tflite as the model: every post-training recipe, to the file and the runtimes."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.request import ConversionRequest
from converters.tensor_spec import quantize
from converters.tflite.contract import refusals
from converters.tflite.reader import read_model
from converters.tflite.unpacked import UnpackedModel
from tests.converters.warm import convert

SHARED = Path(__file__).parents[3].parent / "shared"
REAL = SHARED / "models" / "mlperf_tiny_ic_fp32.tflite"
CIFAR = SHARED / "data" / "cifar10.tar.gz"


@pytest.fixture(scope="module")
def float_tflite(
    digits_request: ConversionRequest, tmp_path_factory: pytest.TempPathFactory
) -> ConversionRequest:
    """The digits as a float .tflite, and a request about it."""
    out = tmp_path_factory.mktemp("float") / "out"
    made = convert(replace(digits_request, recipe="float32", out=out))
    return replace(digits_request, model=made.model)


@pytest.fixture(scope="module")
def by_recipe(
    float_tflite: ConversionRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Any]:
    """Conversions of the float .tflite by recipe, each made once."""
    made = {}

    def make(recipe: str) -> Conversion:
        if recipe not in made:
            out = tmp_path_factory.mktemp("from_tflite") / "out"
            made[recipe] = convert(replace(float_tflite, recipe=recipe, out=out))
        return made[recipe]

    return make


def old_accuracy(conversion: Conversion, data: Path) -> float:
    """Of the file on the board's old runtime."""
    old = pytest.importorskip("tflite_runtime.interpreter")
    interpreter = old.Interpreter(model_path=str(conversion.model))
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    with np.load(data) as arrays:
        x = quantize(arrays["x_test"], conversion.inputs[0])
        labels = arrays["y_test"]
    right = 0
    for row, label in zip(x, labels, strict=True):
        interpreter.set_tensor(taken["index"], row[None])
        interpreter.invoke()
        right += int(interpreter.get_tensor(given["index"])[0].argmax() == label)
    return right / len(labels)


ENDS = {
    "ptq_w8a8": "int8",
    "ptq_w8a16": "int16",
    "ptq_dynamic": "float32",
    "ptq_weight_only": "float32",
    "ptq_f16": "float32",
}


@pytest.mark.parametrize(("recipe", "ends"), ENDS.items())
def test_every_post_training_recipe_takes_a_float_tflite(
    by_recipe: Callable[..., Any], float_tflite: ConversionRequest, recipe: str, ends: str
) -> None:
    conversion = by_recipe(recipe)
    assert conversion.recipe == recipe
    assert conversion.float_accuracy.fraction > 0.97
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.01
    assert {spec.dtype for spec in (*conversion.inputs, *conversion.outputs)} == {ends}
    share = 0.56 if recipe == "ptq_f16" else 0.36
    assert conversion.model_bytes < share * conversion.source_bytes


@pytest.mark.parametrize("recipe", ENDS)
def test_the_old_runtime_answers_rightly_or_is_refused(
    by_recipe: Callable[..., Any], float_tflite: ConversionRequest, recipe: str
) -> None:
    """ai-edge-quantizer leaves every op version at 1; then 2.14 loads the file and is wrong."""
    conversion = by_recipe(recipe)
    model = read_model(conversion.model)
    assert all(op.version >= op.least_version for op in model.operators)
    reasons = refusals(model.operators, "tflite-runtime", "2.14.0")
    if recipe == "ptq_dynamic":
        assert reasons == (
            "FULLY_CONNECTED version 12 needs a TFLite runtime of 2.17, tflite-runtime is 2.14.0",
        )
        old = pytest.importorskip("tflite_runtime.interpreter")
        with pytest.raises(ValueError, match="FULLY_CONNECTED.*12"):
            old.Interpreter(model_path=str(conversion.model))
        return
    assert reasons == ()
    assert old_accuracy(conversion, float_tflite.data) >= conversion.accuracy.fraction - 0.01


def test_input_and_output_keep_the_names_that_an_application_knows(
    float_tflite: ConversionRequest, tmp_path: Path
) -> None:
    model = UnpackedModel(float_tflite.model.read_bytes())
    for (tensor,), name in ((model.inputs, b"pixels:0"), (model.outputs, b"digit:0")):
        model.tensors[tensor].name = name
    given = tmp_path / "given.tflite"
    given.write_bytes(model.pack())
    for recipe in ("ptq_w8a8", "ptq_weight_only", "qat_w8a8"):
        out = tmp_path / recipe
        made = convert(replace(float_tflite, model=given, recipe=recipe, out=out))
        assert [spec.name for spec in (*made.inputs, *made.outputs)] == ["pixels:0", "digit:0"]


def test_weight_only_computes_in_floats_with_int8_weights(by_recipe: Callable[..., Any]) -> None:
    model = read_model(by_recipe("ptq_weight_only").model)
    versions = {op.name: op.version for op in model.operators}
    assert versions["DEQUANTIZE"] == 5
    assert versions["CONV_2D"] == 1
    kernels = [t for t in model.tensors if t.is_constant and t.dtype == "int8"]
    assert sum(tensor.bytes for tensor in kernels) > 0.9 * 18_000


def test_weight_only_takes_a_keras_model(digits_request: ConversionRequest, tmp_path: Path) -> None:
    conversion = convert(replace(digits_request, recipe="ptq_weight_only", out=tmp_path / "out"))
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.01
    assert "DEQUANTIZE" in {op.name for op in read_model(conversion.model).operators}


def test_a_recipe_that_trains_takes_it(by_recipe: Callable[..., Any]) -> None:
    conversion = by_recipe("qat_w8a8")
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.01
    assert {spec.dtype for spec in (*conversion.inputs, *conversion.outputs)} == {"int8"}
    assert conversion.model_bytes < 0.36 * conversion.source_bytes


@pytest.mark.parametrize("recipe", ["ptq_w8a8", "ptq_weight_only"])
def test_what_was_quantized_already_is_refused_with_the_reason(
    by_recipe: Callable[..., Any], float_tflite: ConversionRequest, recipe: str
) -> None:
    model = by_recipe(recipe).model
    request = replace(float_tflite, model=model, out=model.parent / "again")
    with pytest.raises(ConversionError, match="quantized already .tensor '.*' is int8"):
        convert(request)


@pytest.mark.parametrize("recipe", ["ptq_w8a8", "qat_w8a8"])
def test_weights_of_16_bits_are_read_as_floats(
    by_recipe: Callable[..., Any], float_tflite: ConversionRequest, tmp_path: Path, recipe: str
) -> None:
    halves = by_recipe("ptq_f16").model
    assert "float16" in {tensor.dtype for tensor in read_model(halves).tensors}
    request = replace(float_tflite, model=halves, recipe=recipe, out=tmp_path / "out")
    conversion = convert(request)
    assert conversion.accuracy.fraction >= by_recipe(recipe).accuracy.fraction - 0.01
    assert {op.name for op in read_model(conversion.model).operators}.isdisjoint({"DEQUANTIZE"})
    (warning,) = [text for text in conversion.warnings if "rounded to 16 bits" in text]
    assert "constants are float16" in warning


def test_a_tflite_that_the_runtime_cannot_run_is_said(
    float_tflite: ConversionRequest, tmp_path: Path
) -> None:
    from tests.converters.tflite.tflite_maker import model_object, packed

    path = tmp_path / "model.tflite"
    path.write_bytes(packed(model_object("CUSTOM", 1, "my_op", use=True)))
    x, y = np.linspace(0, 1, 40, dtype=np.float32), np.arange(40) % 2
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x, y_test=y)
    request = replace(float_tflite, model=path, data=tmp_path / "data.npz", out=tmp_path / "out")
    with pytest.raises(ConversionError, match=str(path)):
        convert(request)


@pytest.mark.skipif(not (REAL.exists() and CIFAR.exists()), reason=f"no real pair in {SHARED}")
def test_a_real_float_tflite_keeps_its_accuracy(tmp_path: Path) -> None:
    folder = tmp_path / "some"
    taken = {}
    with tarfile.open(CIFAR) as archive:
        for member in archive:
            place = tuple(member.name.split("/")[-3:-1])
            if member.isfile() and taken.setdefault(place, 0) < 100:
                taken[place] += 1
                archive.extract(member, folder, filter="data")
    (data,) = (path.parent for path in folder.rglob("train"))
    request = ConversionRequest(REAL, data, "ptq_w8a8", tmp_path / "out")
    conversion = convert(request)
    assert conversion.accuracy.samples == 1000
    assert conversion.float_accuracy.fraction > 0.7
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.015
    assert conversion.model_bytes < 0.32 * conversion.source_bytes
    assert refusals(read_model(conversion.model).operators, "tflite-runtime", "2.14.0") == ()
