"""What a conversion would do, before it is done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from converters.errors import ConversionError
from converters.process import plan
from converters.request import ConversionRequest


def test_a_plan_tells_steps_samples_time_and_memory_and_writes_nothing(
    digits_request: ConversionRequest, tmp_path: Path
) -> None:
    request = replace(digits_request, recipe="sparse80_qat_w8a8", out=tmp_path / "out")
    (planned,) = plan(request)
    assert planned.recipe == "sparse80_qat_w8a8"
    assert [step.kind for step in planned.steps] == ["sparse", "qat_w8a8"]
    assert planned.steps[0].values["sparsity"] == 0.8
    assert planned.samples == {"train": 1295, "validation": 143, "test": 359}
    assert 0 < planned.steps[1].seconds < planned.seconds < 24 * 3600
    assert 200 * 2**20 < planned.memory_bytes < 8 * 2**30
    assert not (tmp_path / "out").exists()


def test_a_plan_refuses_what_the_conversion_would_refuse(
    zoo: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    request = replace(digits_request, model=zoo / "dynamic.h5", out=tmp_path / "out")
    with pytest.raises(ConversionError, match="axes past the batch must be fixed"):
        plan(request)
