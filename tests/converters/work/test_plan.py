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


def test_several_recipes_load_and_time_the_model_once(
    digits_request: ConversionRequest, tmp_path: Path
) -> None:
    own = tmp_path / "r5.toml"
    own.write_text('schema = 1\n[[step]]\nkind = "ptq_w8a8"\nio = "uint8"\n')
    stages: list[str] = []
    plans = plan(
        replace(digits_request, out=tmp_path / "out"),
        ("float32", str(own), "qat_w8a8"),
        lambda progress: stages.append(progress.stage),
    )
    assert [entry.recipe for entry in plans] == ["float32", "r5 (ptq_w8a8)", "qat_w8a8"]
    assert stages.count("load model") == stages.count("time the model") == 1
    startup = {entry.startup_seconds for entry in plans}
    assert len(startup) == 1
    assert 0 < startup.pop() < min(entry.seconds for entry in plans)
