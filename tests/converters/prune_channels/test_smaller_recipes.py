"""Channels out, a teacher, and 8 bits: through to the file, on real images."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters.errors import ConversionError
from converters.request import ConversionRequest
from converters.tflite.reader import read_model
from tests.converters.warm import convert

RECIPE = """
schema = 1
summary = "for a test"
[[step]]
kind = "channels"
macs_ratio = {ratio}
importance = "{importance}"
[[step]]
kind = "{training}"
epochs = 2
patience = 1
"""


@pytest.fixture(scope="module")
def smaller(digits_request: ConversionRequest) -> tuple[Any, ...]:
    reports = []
    request = replace(
        digits_request,
        recipe="channels50_distill_qat_w8a8",
        out=digits_request.out.with_name("smaller"),
    )
    return convert(request, reports.append), reports


def test_half_of_the_macs_are_gone_and_the_accuracy_is_not(
    smaller: tuple[Any, ...], digits_qat: tuple[Any, ...]
) -> None:
    conversion, _ = smaller
    (channels, distillation, qat) = conversion.step_records
    before, after = channels.found["macs"]
    assert after / before == pytest.approx(0.5, abs=0.05)
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.03
    assert conversion.model_bytes < digits_qat[0].model_bytes
    names = {operator.name for operator in read_model(conversion.model).operators}
    assert not {"QUANTIZE", "DEQUANTIZE"} & names
    kept = distillation.found["kept_epoch"]
    accuracies = distillation.found["validation_accuracies"]
    assert accuracies[kept] == max(accuracies)


def test_what_is_left_of_a_layer_is_a_multiple_of_what_kernels_compute_at_a_time(
    smaller: tuple[Any, ...],
) -> None:
    widths = smaller[0].step_records[0].found["channels"]
    assert widths
    for before, after in widths.values():
        assert after < before
        assert after % 8 == 0


def test_every_training_tells_how_it_goes(smaller: tuple[Any, ...]) -> None:
    stages = {report.stage: report for report in smaller[1]}
    for stage in ("distill", "train"):
        assert stages[stage].done == stages[stage].total > 0
        assert re.match(r"epoch \d+/\d+, loss \d+\.\d+, accuracy [01]\.\d+", stages[stage].detail)


def test_the_float_model_can_be_made_smaller_alone(
    digits_request: ConversionRequest, tmp_path: Path
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(RECIPE.format(ratio=0.6, importance="l1", training="tune"))
    conversion = convert(replace(digits_request, recipe=str(recipe), out=tmp_path / "out"))
    before, after = conversion.step_records[0].found["parameters"]
    assert conversion.recipe == "channels40_tune"
    assert conversion.inputs[0].dtype == "float32"
    assert after < before
    assert 4 * after < conversion.model_bytes < 4 * before
    assert conversion.accuracy.fraction >= conversion.float_accuracy.fraction - 0.05


def test_a_model_without_channels_to_spare_is_named(
    zoo: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    recipe = tmp_path / "mine.toml"
    recipe.write_text(RECIPE.format(ratio=0.5, importance="l1", training="tune"))
    request = replace(digits_request, model=zoo / "nested.h5", recipe=str(recipe))
    with pytest.raises(ConversionError, match="no channels can be taken out") as caught:
        convert(replace(request, out=tmp_path / "out"))
    assert "multiple" in caught.value.hint
    assert not (tmp_path / "out").exists()
