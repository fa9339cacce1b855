"""Every kind of post-training quantization, through to the file and the runtimes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.request import ConversionRequest
from converters.tflite.contract import refusals
from converters.tflite.reader import read_model
from tests.converters.warm import convert


@pytest.fixture(scope="module")
def by_recipe(
    digits_request: ConversionRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., Any]:
    """Conversions of the digits by recipe, each made once."""
    made = {}

    def make(recipe: str) -> Conversion:
        if recipe not in made:
            out = tmp_path_factory.mktemp("ptq")
            made[recipe] = convert(replace(digits_request, recipe=recipe, out=out / "out"))
        return made[recipe]

    return make


@pytest.mark.parametrize("recipe", ["ptq_w8a16", "ptq_f16", "ptq_dynamic"])
def test_the_file_is_as_right_as_the_model(by_recipe: Callable[..., Any], recipe: str) -> None:
    conversion = by_recipe(recipe)
    assert conversion.recipe == recipe
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.01


@pytest.mark.parametrize("recipe", ["float32", "ptq_w8a8", "ptq_w8a16", "ptq_f16", "ptq_dynamic"])
def test_input_and_output_are_called_so_whatever_the_recipe(
    by_recipe: Callable[..., Any], recipe: str
) -> None:
    """What is said in model.toml, and in an application, holds for the next recipe, too."""
    conversion = by_recipe(recipe)
    assert [spec.name for spec in (*conversion.inputs, *conversion.outputs)] == ["input", "output"]
    interpreter = Interpreter(str(conversion.model))
    (names,) = interpreter.get_signature_list().values()
    assert names == {"inputs": ["input"], "outputs": ["output"]}
    (spec,) = conversion.inputs
    answer = interpreter.get_signature_runner()(input=np.zeros(spec.shape, spec.dtype))
    assert answer["output"].shape == (1, 10)


def test_w8a16_has_int16_ends_and_activations_and_int8_kernels(
    by_recipe: Callable[..., Any],
) -> None:
    conversion = by_recipe("ptq_w8a16")
    assert {spec.dtype for spec in (*conversion.inputs, *conversion.outputs)} == {"int16"}
    assert {spec.zero_point for spec in (*conversion.inputs, *conversion.outputs)} == {0}
    tensors = read_model(conversion.model).tensors
    assert {t.dtype for t in tensors if t.is_constant and len(t.shape) == 4} == {"int8"}
    assert not any(tensor.dtype.startswith("float") for tensor in tensors)


def test_f16_halves_and_dynamic_quarters_the_float_file(by_recipe: Callable[..., Any]) -> None:
    whole = by_recipe("float32").model_bytes
    assert by_recipe("ptq_f16").model_bytes < 0.56 * whole
    assert by_recipe("ptq_dynamic").model_bytes < 0.34 * whole
    assert by_recipe("ptq_dynamic").inputs[0].dtype == "float32"


@pytest.mark.parametrize("recipe", ["ptq_w8a16", "ptq_f16", "ptq_dynamic"])
def test_the_old_runtime_loads_what_kedge_says_that_it_loads(
    by_recipe: Callable[..., Any], recipe: str
) -> None:
    """Dynamic range needs an op version of 2.17 in its Dense layer; the others do not."""
    old = pytest.importorskip("tflite_runtime.interpreter")
    path = by_recipe(recipe).model
    reasons = refusals(read_model(path).operators, "tflite-runtime", "2.14.0")
    if recipe == "ptq_dynamic":
        assert reasons == (
            "FULLY_CONNECTED version 12 needs a TFLite runtime of 2.17, tflite-runtime is 2.14.0",
        )
        with pytest.raises(ValueError, match="FULLY_CONNECTED.*12"):
            old.Interpreter(model_path=str(path))
        return
    assert reasons == ()
    interpreter = old.Interpreter(model_path=str(path))
    interpreter.allocate_tensors()
    spec = by_recipe(recipe).inputs[0]
    interpreter.set_tensor(
        interpreter.get_input_details()[0]["index"], np.zeros(spec.shape, spec.dtype)
    )
    interpreter.invoke()


def test_uint8_ends_are_had_by_a_field_of_the_recipe(
    digits_request: ConversionRequest, digits_ptq: Conversion, tmp_path: Path
) -> None:
    recipe = tmp_path / "camera.toml"
    recipe.write_text('schema = 1\n[[step]]\nkind = "ptq_w8a8"\nio = "uint8"\n')
    conversion = convert(replace(digits_request, recipe=str(recipe), out=tmp_path / "out"))
    assert {spec.dtype for spec in (*conversion.inputs, *conversion.outputs)} == {"uint8"}
    assert conversion.recipe_steps[0]["io"] == "uint8"
    assert conversion.accuracy == digits_ptq.accuracy
    assert refusals(read_model(conversion.model).operators, "tflite-runtime", "2.14.0") == ()


def test_a_model_too_small_for_dynamic_range_is_refused(
    zoo: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    """The converter leaves kernels below 1,024 numbers alone; then nothing would be quantized."""
    request = replace(digits_request, model=zoo / "odd_or_even.h5", data=zoo / "odd_or_even.npz")
    with pytest.raises(ConversionError, match="none of its weights is stored as int8"):
        convert(replace(request, recipe="ptq_dynamic", out=tmp_path / "out"))
