"""Layers with 16-bit activations in a file of 8 bits: asked of the runtimes that load it."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from converters.request import ConversionRequest
from converters.tensor_spec import dequantize, quantize
from converters.tflite.contract import minimum_runtime, refusals
from converters.tflite.reader import read_model
from converters.tflite.unpacked import UnpackedModel
from tests.converters.conftest import run_program
from tests.converters.warm import convert

BUILTIN = OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES


@pytest.fixture(scope="module")
def cases(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """Folder of int16_cases.py."""
    folder = tmp_path_factory.mktemp("int16")
    run_program("int16_cases", folder, digits / "digits.npz")
    return folder


def answers(interpreter: Any, path: Path, samples: np.ndarray) -> np.ndarray:
    model = read_model(path)
    interpreter.allocate_tensors()
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for sample in quantize(samples, model.inputs[0]):
        interpreter.set_tensor(taken["index"], sample[None])
        interpreter.invoke()
        found.append(dequantize(interpreter.get_tensor(given["index"]), model.outputs[0]))
    return np.concatenate(found)


def types(path: Path) -> list[tuple[str, str]]:
    """Of each operator that computes: its name, and the type of what it gives."""
    model = UnpackedModel(path.read_bytes())
    return [(model.op(op), model.spec(int(op.outputs[0])).dtype) for op in model.operators]


def test_layers_of_every_kind_answer_alike_on_both_runtimes(cases: Path) -> None:
    path = cases / "every_kind.tflite"
    old = pytest.importorskip("tflite_runtime.interpreter")
    with np.load(cases / "every_kind.npz") as arrays:
        x, y = arrays["x"], arrays["y"]
    new_answers = answers(Interpreter(str(path), experimental_op_resolver_type=BUILTIN), path, x)
    assert np.abs(new_answers - y).max() < 0.02
    old_answers = answers(old.Interpreter(str(path)), path, x)
    assert np.abs(old_answers - new_answers).max() <= read_model(path).outputs[0].scale
    assert refusals(read_model(path).operators, "tflite-runtime", "2.14.0") == ()


def test_a_runtime_that_is_too_old_for_16_bits_is_refused(cases: Path) -> None:
    model = read_model(cases / "every_kind.tflite")
    assert minimum_runtime(model).version == (2, 4)
    reasons = refusals(model.operators, "tflite-runtime", "2.2.0")
    assert "CONV_2D version 4 needs a TFLite runtime of 2.3, tflite-runtime is 2.2.0" in reasons


def test_nothing_between_computes_in_floats(cases: Path) -> None:
    operators = types(cases / "every_kind.tflite")
    assert operators[0] == ("DEQUANTIZE", "float32")
    assert operators[1] == ("QUANTIZE", "int16")
    assert operators[-1] == ("QUANTIZE", "int8")
    assert {dtype for _, dtype in operators[1:-1]} == {"int16"}


def test_activations_too_wide_for_8_bits_get_16_and_no_floats(
    cases: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    request = replace(digits_request, model=cases / "wide_activations.h5")
    ruined = convert(replace(request, out=tmp_path / "ptq"))
    mixed = convert(replace(request, recipe="mixed_w8a8", out=tmp_path / "mixed"))
    assert ruined.accuracy.fraction < ruined.float_accuracy.fraction - 0.1
    assert mixed.accuracy.fraction >= mixed.float_accuracy.fraction - 0.02
    found = mixed.step_records[0].found
    assert found["layers_in_floats"] == []
    named = {row["layer"].split("/")[1] for row in found["layers_in_int16"]}
    assert named == {"wide", "behind"}
    (warning,) = mixed.warnings
    assert "2 of 4 layers have 16-bit activations" in warning
    assert Counter(types(mixed.model)) == Counter(
        {
            ("FULLY_CONNECTED", "int16"): 2,
            ("FULLY_CONNECTED", "int8"): 1,
            ("DEQUANTIZE", "float32"): 1,
            ("QUANTIZE", "int16"): 1,
            ("QUANTIZE", "int8"): 1,
            ("RESHAPE", "int8"): 1,
            ("SOFTMAX", "int8"): 1,
        }
    )
    assert {spec.dtype for spec in (*mixed.inputs, *mixed.outputs)} == {"int8"}
