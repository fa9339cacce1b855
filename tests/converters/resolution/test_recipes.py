"""Recipes with a smaller input or a larger stride: the file, its model.toml, inputs of boards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.evidence.golden import read_golden
from converters.evidence.model_toml import MODEL_TOML, read_model_toml
from converters.request import ConversionRequest
from converters.tensor_spec import quantize
from converters.tflite.reader import read_model
from device_agent.samples.preprocess import preprocess
from tests.converters.conftest import run_program
from tests.converters.warm import convert
from toolkit.measure.labelled_data import open_labelled

DISTILL = 'kind = "distill"\nepochs = 2\nlearning_rate = 2e-3\n'
QAT = 'kind = "qat_w8a8"\nepochs = 1\nlearning_rate = 1e-3\nteacher = "original"\n'


@pytest.fixture(scope="module")
def pooled_digits(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pooled") / "pooled.keras"
    run_program("pooled_digits", path, digits / "digits.npz")
    return path


def convert_with(steps: list[str], request: ConversionRequest, folder: Path) -> Conversion:
    recipe = folder / "mine.toml"
    recipe.write_text("schema = 1\n" + "".join(f"[[step]]\n{step}\n" for step in steps))
    return convert(replace(request, recipe=str(recipe), out=folder / "out"))


def test_a_smaller_input_is_trained_and_judged_on_resized_samples(
    pooled_digits: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    request = replace(digits_request, model=pooled_digits)
    steps = ['kind = "resolution"\nratio = 0.75', DISTILL, QAT]
    conversion = convert_with(steps, request, tmp_path)
    found = conversion.step_records[0].found
    assert conversion.recipe == "resolution75_distill_qat_w8a8"
    assert found["input"] == [[8, 8, 1], [6, 6, 1]]
    assert 0.5 < found["macs"][1] / found["macs"][0] < 0.65
    (spec,) = conversion.inputs
    assert spec.shape == (1, 6, 6, 1)
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.1
    model = read_model(conversion.model)
    card = read_model_toml(tmp_path / "out" / MODEL_TOML, model)
    assert vars(card.input(spec.name))["resized_from"] == [8, 8, 1]
    samples = open_labelled(model, request.data).read(lambda *_: None)
    assert samples.stored.shape[1:] == (8, 8, 1)


def test_a_picture_reaches_the_smaller_input_on_a_board_as_in_the_conversion(
    pooled_digits: Path, digits_request: ConversionRequest, tmp_path: Path, images: Any
) -> None:
    folder = images(classes=tuple("abcdefghij"), count=10)
    request = replace(digits_request, model=pooled_digits, data=folder)
    steps = ['kind = "resolution"\nratio = 0.5', DISTILL, 'kind = "ptq_w8a8"']
    conversion = convert_with(steps, request, tmp_path)
    (spec,) = conversion.inputs
    card = read_model_toml(tmp_path / "out" / MODEL_TOML, read_model(conversion.model))
    paths = [folder / name / f"{number:02}.png" for name in "abcdefghij" for number in range(10)]
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in paths]
    board = [quantize(preprocess(np, one, card.input(spec.name)), spec) for one in pictures]
    fed = {array.tobytes() for array in board}
    golden = read_golden(conversion.golden)
    assert {row.tobytes() for row in golden.inputs[spec.name]} <= fed


def test_a_stride_in_the_stem_leaves_the_input(
    pooled_digits: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    request = replace(digits_request, model=pooled_digits)
    steps = ['kind = "stem_stride"', DISTILL, 'kind = "ptq_w8a8"']
    conversion = convert_with(steps, request, tmp_path)
    found = conversion.step_records[0].found
    assert conversion.recipe == "stemstride2_distill_ptq_w8a8"
    assert found["layer"] == "stem"
    assert conversion.inputs[0].shape == (1, 8, 8, 1)
    assert found["macs"][1] / found["macs"][0] == pytest.approx(0.25, abs=0.01)


def test_a_layer_that_needs_its_size_is_named_and_nothing_is_written(
    digits_request: ConversionRequest, tmp_path: Path
) -> None:
    steps = ['kind = "resolution"', DISTILL, 'kind = "ptq_w8a8"']
    with pytest.raises(ConversionError, match="takes .* numbers, not") as caught:
        convert_with(steps, digits_request, tmp_path)
    assert "channels" in caught.value.hint
    assert not (tmp_path / "out").exists()
