"""Layers that a recipe keeps in floats or 16 bits: by which names, and what the file then has."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.errors import ConversionError
from converters.quantize.kept_layers import tensors_of_layers
from converters.recipe.recipe import RecipeError, parse_recipe
from converters.request import ConversionRequest
from converters.tflite.reader import read_model
from converters.tflite.unpacked import UnpackedModel
from targets.progress import no_progress
from tests.converters.warm import convert
from tests.layer_pair import SCALES, relu_chain
from toolkit.measure.layer_errors import compare_with_float

FLOATS = UnpackedModel(relu_chain(dict.fromkeys(SCALES)))


def test_layers_are_found_by_name_and_by_pattern() -> None:
    assert tensors_of_layers(FLOATS, ["narrow"], "x") == {"narrow": ("net/narrow/Relu",)}
    assert list(tensors_of_layers(FLOATS, ["*r*st", "last"], "x")) == ["first", "last"]
    assert tensors_of_layers(FLOATS, [], "x") == {}


@pytest.mark.parametrize(("name", "hint"), [("narow", "'narrow'"), ("zz*", "The first layers are")])
def test_an_unknown_layer_is_refused_with_the_nearest_names(name: str, hint: str) -> None:
    with pytest.raises(RecipeError, match="no layer is called") as refused:
        tensors_of_layers(FLOATS, [name], "step ptq_w8a8: keep_float")
    assert hint in refused.value.hint
    assert refused.value.exit_code == 3


def test_a_layer_is_kept_in_one_type() -> None:
    step = {"kind": "ptq_w8a8", "keep_float": ["a"], "keep_int16": ["a"]}
    with pytest.raises(RecipeError, match="is in keep_float and in keep_int16"):
        parse_recipe({"schema": 1, "step": [step]}, "recipe.toml")


def request_for(digits: Path, out: Path, *lines: str) -> ConversionRequest:
    recipe = out.with_suffix(".toml")
    recipe.write_text("\n".join(["schema = 1", "[[step]]", *lines]))
    return ConversionRequest(digits / "digits.keras", digits / "digits.npz", str(recipe), out)


def types(path: Path) -> dict[str, str]:
    """Layer to the type of the output of its operator; a conversion is none."""
    model = UnpackedModel(path.read_bytes())
    operators = [op for op in model.operators if "QUANTIZE" not in model.op(op)]
    return {model.op(op): model.spec(int(op.outputs[0])).dtype for op in operators}


def test_kept_layers_of_ptq_have_their_types_and_less_noise(digits: Path, tmp_path: Path) -> None:
    keep = ('keep_float = ["conv*"]', 'keep_int16 = ["dense"]')
    plain, kept, floats = (
        convert(request_for(digits, tmp_path / name, *lines))
        for name, lines in (
            ("plain", ['kind = "ptq_w8a8"']),
            ("kept", ['kind = "ptq_w8a8"', *keep]),
            ("floats", ['kind = "ptq_f16"']),
        )
    )
    assert types(plain.model)["CONV_2D"] == types(plain.model)["FULLY_CONNECTED"] == "int8"
    assert types(kept.model)["CONV_2D"] == "float32"
    assert types(kept.model)["FULLY_CONNECTED"] == "int16"
    assert any("the recipe keeps" in warning for warning in kept.warnings)
    before, after = (
        compare_with_float(read_model(one.model), read_model(floats.model), None, no_progress)
        for one in (plain, kept)
    )
    ratios = {error.output.layer: error.sqnr_db for error in before.errors}
    assert all(
        error.sqnr_db > ratios[error.output.layer] + 1
        for error in after.errors
        if error.output.op in ("CONV_2D", "FULLY_CONNECTED")
    )


def test_kept_layers_of_training_have_their_types(digits: Path, tmp_path: Path) -> None:
    lines = ('kind = "qat_w8a8"', "epochs = 1", "learning_rate = 1e-5")
    keep = ('keep_float = ["re_lu_1"]', 'keep_int16 = ["dense"]')
    kept = convert(request_for(digits, tmp_path / "kept", *lines, *keep))
    model = UnpackedModel(kept.model.read_bytes())
    found = [
        (model.op(op), model.spec(int(op.outputs[0])).dtype)
        for op in model.operators
        if model.op(op) in ("CONV_2D", "FULLY_CONNECTED")
    ]
    assert found == [
        ("CONV_2D", "int8"), ("CONV_2D", "float32"), ("CONV_2D", "int8"),
        ("FULLY_CONNECTED", "int16"),
    ]  # fmt: skip
    assert kept.accuracy is not None
    assert kept.accuracy.fraction > 0.95
    bad = request_for(digits, tmp_path / "bad", *lines, 'keep_float = ["conv2d9"]')
    with pytest.raises(ConversionError, match="no layer is called 'conv2d9'") as refused:
        convert(bad)
    assert refused.value.exit_code == 3
    assert "'conv2d'" in refused.value.hint
