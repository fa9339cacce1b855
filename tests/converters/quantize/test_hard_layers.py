"""Layers that 8 bits cannot hold as they are; each is named as its user named it."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.errors import ConversionError
from converters.request import ConversionRequest
from converters.tflite.unpacked import UnpackedModel
from tests.converters.conftest import run_program
from tests.converters.warm import convert

QAT = """
schema = 1
[[step]]
kind = "qat_w8a8"
epochs = 1
learning_rate = 1e-5
"""


@pytest.fixture(scope="module")
def layer_models(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """Folder of layer_cases.py."""
    folder = tmp_path_factory.mktemp("layers")
    run_program("layer_cases", folder, digits / "digits.npz")
    return folder


@pytest.mark.parametrize(
    ("model", "recipe", "named", "instead"),
    [
        ("long", "ptq_w8a8", r"layer 'memory' \(GRU\) runs 320 steps", "ptq_f16"),
    ],
)
def test_a_layer_that_8_bits_cannot_hold_is_named(
    layer_models: Path,
    digits_request: ConversionRequest,
    tmp_path: Path,
    model: str,
    recipe: str,
    named: str,
    instead: str,
) -> None:
    request = replace(digits_request, model=layer_models / f"{model}.keras", recipe=recipe)
    with pytest.raises(ConversionError, match=named) as caught:
        convert(replace(request, out=tmp_path / "out"))
    assert instead in caught.value.hint
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("recipe", ["ptq_w8a8", "mixed_w8a8", "ptq_w8a16"])
@pytest.mark.parametrize(
    ("model", "named", "op"),
    [
        ("elu", r"layer 'bent' \(ELU\) computes in floats", "ELU"),
        ("layer_norm", r"layer 'normed' \(LayerNormalization\) computes in floats", "RSQRT"),
        ("conv3d", r"layer 'volume' \(Conv3D\) computes in floats", "CONV_3D"),
    ],
)
def test_only_a_layer_without_an_integer_kernel_stays_in_floats(
    layer_models: Path,
    digits_request: ConversionRequest,
    tmp_path: Path,
    model: str,
    named: str,
    op: str,
    recipe: str,
) -> None:
    request = replace(digits_request, model=layer_models / f"{model}.keras", recipe=recipe)
    conversion = convert(replace(request, out=tmp_path / "out"))
    assert any(re.search(named, warning) for warning in conversion.warnings)
    file = UnpackedModel(conversion.model.read_bytes())
    assert types_of(file, op) == {"float32"}
    assert types_of(file, "FULLY_CONNECTED") == {"int16" if recipe == "ptq_w8a16" else "int8"}
    assert {spec.dtype for spec in (*conversion.inputs, *conversion.outputs)} <= {"int8", "int16"}


def types_of(file: UnpackedModel, op: str) -> set[str]:
    """Types of what all operators of a kind give."""
    outputs = [int(operator.outputs[0]) for operator in file.operators if file.op(operator) == op]
    return {file.spec(output).dtype for output in outputs}


@pytest.mark.parametrize("recipe", ["ptq_w8a8", "mixed_w8a8", "ptq_w8a16"])
@pytest.mark.parametrize(("model", "op"), [("padded", "MIRROR_PAD"), ("padded_relu", "PAD")])
def test_a_pad_of_minus_infinity_is_exact(
    layer_models: Path,
    digits_request: ConversionRequest,
    tmp_path: Path,
    model: str,
    op: str,
    recipe: str,
) -> None:
    request = replace(digits_request, model=layer_models / f"{model}.keras", recipe=recipe)
    conversion = convert(replace(request, out=tmp_path / "out"))
    file = UnpackedModel(conversion.model.read_bytes())
    assert types_of(file, op) == {"int16" if recipe == "ptq_w8a16" else "int8"}
    assert not types_of(file, "PADV2")
    assert conversion.float_accuracy.fraction > 0.85
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.015


@pytest.mark.parametrize("recipe", ["ptq_w8a8", "ptq_w8a16"])
@pytest.mark.parametrize("model", ["mask_of_keras", "added_mask"])
def test_a_mask_leaves_steps_for_the_scores(
    layer_models: Path, digits_request: ConversionRequest, tmp_path: Path, model: str, recipe: str
) -> None:
    request = replace(digits_request, model=layer_models / f"{model}.keras", recipe=recipe)
    conversion = convert(replace(request, out=tmp_path / "out"))
    file = UnpackedModel(conversion.model.read_bytes())
    softmax = next(op for op in file.operators if file.op(op) == "SOFTMAX")
    scale = file.spec(int(softmax.inputs[0])).scale
    assert scale is not None
    assert scale < 0.5
    (note,) = [warning for warning in conversion.warnings if "masked by numbers" in warning]
    assert "layer 'scores'" in note
    assert conversion.float_accuracy.fraction > 0.85
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.015


@pytest.mark.parametrize(
    "model",
    [
        *("permute", "two_relus", "relu_and_tanh", "padded", "padded_relu"),
        *("elu", "layer_norm", "mask_of_keras", "added_mask", "bent", "sequence"),
    ],
)
def test_a_right_file_is_accepted_on_few_samples(
    layer_models: Path, digits: Path, digits_request: ConversionRequest, tmp_path: Path, model: str
) -> None:
    """100 validation samples cannot show a difference of 0.5 %, so that the layers decide."""
    with np.load(digits / "digits.npz") as data:
        few = {name: x[:1000] if name.endswith("train") else x for name, x in data.items()}
    np.savez(tmp_path / "few.npz", **few)
    recipe = tmp_path / "short.toml"
    recipe.write_text(QAT)
    request = replace(digits_request, model=layer_models / f"{model}.keras", recipe=str(recipe))
    request = replace(request, data=tmp_path / "few.npz")
    found = convert(replace(request, out=tmp_path / "out")).step_records[0].found
    assert found["farthest_layer_steps"] < 1
    assert found["same_class"] > 0.97
    assert found["same_class"] > 0.98
