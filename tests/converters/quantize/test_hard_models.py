"""Models that 8 bits ruin, and what kedge does about it: judged on the file that was written."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.evidence.conversion import Conversion
from converters.quantize.equalize import equalize_layers
from converters.quantize.fidelity import sqnr_db
from converters.request import ConversionRequest
from converters.tensor_spec import dequantize, quantize
from converters.tflite.contract import refusals
from converters.tflite.reader import read_model
from converters.tflite.run import run_model
from tests.converters.conftest import run_program
from tests.converters.warm import convert

BADLY_SCALED = ("badly_scaled", "badly_scaled_depthwise")


@pytest.fixture(scope="module")
def hard(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """Folder of quantize_cases.py."""
    folder = tmp_path_factory.mktemp("hard")
    run_program(
        "quantize_cases",
        folder,
        digits / "digits.keras",
        digits / "digits.npz",
    )
    return folder


@pytest.fixture
def converted(hard: Path, digits_request: ConversionRequest, tmp_path: Path) -> Callable[..., Any]:
    """A function that converts one of these models with a step of these fields."""

    def make(
        name: str, kind: str = "ptq_w8a8", data: Path | None = None, **fields: Any
    ) -> Conversion:
        recipe = tmp_path / "recipe.toml"
        lines = [f"{key} = {json.dumps(value)}" for key, value in fields.items()]
        recipe.write_text("\n".join(["schema = 1", "[[step]]", f'kind = "{kind}"', *lines]))
        out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        request = replace(digits_request, model=hard / f"{name}.h5", recipe=str(recipe), out=out)
        return convert(request if data is None else replace(request, data=data))

    return make


@pytest.fixture
def as_floats(hard: Path, digits_request: ConversionRequest, tmp_path: Path) -> Callable[..., Any]:
    """A function that converts one of these models to a float file."""

    def make(name: str, data: Path | None = digits_request.data) -> Conversion:
        request = replace(digits_request, model=hard / f"{name}.h5", data=data)
        return convert(replace(request, recipe="float32", out=tmp_path / "floats"))

    return make


def answers(path: Path, x: np.ndarray) -> np.ndarray:
    model = read_model(path)
    (spec,), (output,) = model.inputs, model.outputs
    return dequantize(run_model(path, {spec.name: quantize(x, spec)})[output.name], output)


@pytest.mark.parametrize("name", BADLY_SCALED)
def test_equalization_recovers_channels_of_very_different_size(
    converted: Callable[..., Any], name: str
) -> None:
    plain = converted(name)
    equal = converted(name, equalize="if_better")
    assert plain.accuracy.fraction < plain.float_accuracy.fraction - 0.1
    assert equal.accuracy.fraction >= equal.float_accuracy.fraction - 0.01
    told = equal.step_records[0].found["equalize"]
    assert told["kept"]
    assert told["layers"] >= 2
    assert told["sqnr_db"][1] > told["sqnr_db"][0] + 10


@pytest.mark.parametrize("name", BADLY_SCALED)
def test_equalization_leaves_the_float_answers_as_they_are(
    as_floats: Callable[..., Any], digits: Path, tmp_path: Path, name: str
) -> None:
    plain = as_floats(name)
    content, pairs = equalize_layers(plain.model.read_bytes())
    path = tmp_path / "equalized.tflite"
    path.write_bytes(content)
    with np.load(digits / "digits.npz") as data:
        x = data["x_test"][:100]
    assert pairs >= 2
    np.testing.assert_allclose(answers(path, x), answers(plain.model, x), atol=1e-4)


def test_an_improvement_that_is_none_is_not_made_and_that_is_told(
    converted: Callable[..., Any],
) -> None:
    made = converted("badly_scaled", bias_correction="if_better")
    told = made.step_records[0].found["bias_correction"]
    assert told["layers"] == 4
    before, after = told["sqnr_db"]
    assert told["kept"] == (after > before and told["accuracy"][1] >= told["accuracy"][0])


def test_the_layer_that_8_bits_ruin_stays_in_floats_and_is_named(
    converted: Callable[..., Any],
) -> None:
    ruined = converted("one_bad_layer")
    assert ruined.accuracy.fraction < 0.5
    mixed = converted("one_bad_layer", "mixed_w8a8", max_drop=0.01)
    assert mixed.recipe == "mixed_w8a8"
    assert mixed.accuracy.fraction >= mixed.float_accuracy.fraction - 0.02
    (kept,) = mixed.step_records[0].found["layers_in_floats"]
    assert "ruined" in kept["layer"]
    (warning,) = mixed.warnings
    assert "1 of 4 layers stay in floats" in warning
    assert "ruined" in warning

    model = read_model(mixed.model)
    assert {spec.dtype for spec in (*mixed.inputs, *mixed.outputs)} == {"int8"}
    floats = [t for t in model.tensors if t.is_constant and t.dtype == "float32"]
    assert {tensor.shape for tensor in floats if len(tensor.shape) == 2} == {(48, 64)}
    assert refusals(model.operators, "ai-edge-litert", "2.3.0") == ()
    assert refusals(model.operators, "tflite-runtime", "2.14.0") == ()
    old = pytest.importorskip("tflite_runtime.interpreter")
    interpreter = old.Interpreter(model_path=str(mixed.model))
    interpreter.allocate_tensors()
    interpreter.invoke()


def test_a_model_that_keeps_its_accuracy_stays_whole_in_8_bits(
    digits_request: ConversionRequest, tmp_path: Path
) -> None:
    made = convert(replace(digits_request, recipe="mixed_w8a8", out=tmp_path / "out"))
    assert made.step_records[0].found["layers_in_floats"] == []
    assert made.warnings == ()
    assert not any(t.dtype == "float32" for t in read_model(made.model).tensors)


def test_a_percentile_cuts_off_what_a_broken_sensor_gave(
    digits: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    """4 of 1,438 training images have one pixel of 16,000; all others end at 16."""
    with np.load(digits / "digits.npz") as data:
        arrays = dict(data)
    rows = np.random.default_rng(2).choice(len(arrays["x_train"]), 4, replace=False)
    arrays["x_train"][rows, 3, 3] = 16_000
    path = tmp_path / "glitch.npz"
    np.savez(path, **arrays)
    found = {}
    for name, fields in (("minmax", ""), ("percentile", "percentile = 99.5\n")):
        recipe = tmp_path / f"{name}.toml"
        step = f'[[step]]\nkind = "ptq_w8a8"\ncalibration = "{name}"\n{fields}'
        recipe.write_text(f"schema = 1\n{step}")
        request = replace(digits_request, data=path, recipe=str(recipe), out=tmp_path / name)
        made = convert(request)
        rounding = [warning for warning in made.warnings if "rounding of the input" in warning]
        assert list(made.warnings) == rounding
        assert bool(rounding) == (name == "minmax")
        found[name] = made.accuracy.fraction
    assert found["minmax"] < 0.2
    assert found["percentile"] > 0.97


def test_the_least_error_is_less_than_that_of_the_whole_range(
    hard: Path, converted: Callable[..., Any], as_floats: Callable[..., Any]
) -> None:
    data = hard / "heavy_tails.npz"
    with np.load(data) as arrays:
        x = arrays["x_test"]
    expected = answers(as_floats("heavy_tails", data).model, x)
    found = {}
    for calibration in ("minmax", "mse"):
        made = converted("heavy_tails", data=data, calibration=calibration, calibration_samples=700)
        assert made.accuracy.fraction >= made.float_accuracy.fraction - 0.01
        found[calibration] = sqnr_db(expected, answers(made.model, x))
    assert found["mse"] > found["minmax"]


def test_what_a_sigmoid_gives_into_a_concatenation_is_rounded_twice_in_training_too(
    converted: Callable[..., Any],
) -> None:
    made = converted("sigmoid_concat", "qat_w8a8", epochs=1, learning_rate=1e-4)
    names = {op.name: op.count for op in read_model(made.model).operators}
    assert names["QUANTIZE"] == 1
    assert "DEQUANTIZE" not in names
    assert not any(t.dtype.startswith("float") for t in read_model(made.model).tensors)
    assert made.accuracy.fraction >= made.float_accuracy.fraction - 0.02
    assert made.step_records[0].found["farthest_layer_steps"] < 1


def test_a_file_that_is_what_was_trained_is_taken(hard: Path, digits_qat: tuple[Any, ...]) -> None:
    assert json.loads((hard / "faults.json").read_text())[""]["said"] == ""
    found = digits_qat[0].step_records[0].found
    assert found["same_class"] > 0.97
    assert found["farthest_layer_steps"] < 1


@pytest.mark.parametrize("layer", ["re_lu", "re_lu_1", "conv2d_2_relu", "dense"])
def test_a_range_that_is_not_that_of_training_is_named_by_its_layer(hard: Path, layer: str) -> None:
    said = json.loads((hard / "faults.json").read_text())[layer]["said"]
    assert "does not answer as the model that was trained" in said
    assert f"the first layer that diverges is {layer!r}" in said


def test_a_layer_that_enlarges_the_rounding_before_it_is_no_fault(hard: Path) -> None:
    right, with_fault = json.loads((hard / "amplified.json").read_text())
    assert right["own_steps"]["narrow"] < 0.5
    assert right["is_allowed"]
    assert with_fault["own_steps"]["narrow"] > 3
    assert not with_fault["is_allowed"]


def test_a_conversion_in_which_a_range_changes_after_training_fails(hard: Path) -> None:
    said = (hard / "fault.txt").read_text()
    assert "the first layer that diverges is 're_lu_1'" in said
    assert not (hard / "out" / "model.tflite").exists()
