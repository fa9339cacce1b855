from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from converters.errors import ConversionError
from converters.evidence.conversion import Conversion, StepRecord, read_conversion, write_conversion
from converters.judge.budget import Attempt
from converters.judge.paired import Drop
from converters.judge.score import Accuracy
from device_agent.contract.codes import IntegrityError


@pytest.fixture
def folder(digits_ptq: Conversion, tmp_path: Path) -> Path:
    """A copy of a conversion, to be damaged."""
    for name in ("model.tflite", "conversion.json", "golden.npz"):
        (tmp_path / name).write_bytes(digits_ptq.model.with_name(name).read_bytes())
    return tmp_path


def edit(folder: Path, **changed: Any) -> None:
    path = folder / "conversion.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


def test_what_was_written_is_read_again(digits_ptq: Conversion) -> None:
    assert read_conversion(digits_ptq.model.parent) == digits_ptq


def test_what_was_tried_for_a_budget_is_read_again(folder: Path) -> None:
    drop = Drop("validation", 100, 3, 1, (-0.01, 0.05))
    attempts = (
        Attempt("sparse80_ptq_w8a8", ({"kind": "sparse"},), (0.1, None), drop, False),
        Attempt("sparse60_mixed_w8a8", (), (), None, False, "it cannot be"),
    )
    record = StepRecord("sparse", 1.5, {"zeros": 0.8}, cached=True, validation_drop=0.1)
    conversion = replace(read_conversion(folder), attempts=attempts, step_records=(record,))
    write_conversion(conversion)
    digest = read_conversion(folder).evidence_sha256
    assert read_conversion(folder) == replace(conversion, evidence_sha256=digest)


def test_a_conversion_may_be_moved(digits_ptq: Conversion, folder: Path) -> None:
    moved = read_conversion(folder)
    assert moved.model == folder / "model.tflite"
    assert moved.golden == folder / "golden.npz"
    assert moved.model_sha256 == digits_ptq.model_sha256


def test_a_field_of_a_later_kedge_is_passed_over(digits_ptq: Conversion, folder: Path) -> None:
    edit(folder, colour="blue")
    assert read_conversion(folder).recipe == digits_ptq.recipe


def test_a_newer_schema_is_refused(folder: Path) -> None:
    edit(folder, schema=2)
    with pytest.raises(ConversionError, match="has schema 2, this kedge reads up to 1") as caught:
        read_conversion(folder)
    assert "Update kedge" in caught.value.hint


@pytest.mark.parametrize("change", ["touched", "removed"])
def test_evidence_about_another_model_is_refused(folder: Path, change: str) -> None:
    model = folder / "model.tflite"
    if change == "removed":
        model.unlink()
    else:
        model.write_bytes(model.read_bytes() + b"\0")
    with pytest.raises(IntegrityError, match="model.tflite") as caught:
        read_conversion(folder)
    assert caught.value.exit_code == 5
    assert caught.value.hint


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "cannot be read"), ("[]", "does not hold a JSON object"), ('{"schema": 1}', "'golden'")],
)
def test_damaged_evidence_is_refused(folder: Path, content: str, message: str) -> None:
    (folder / "conversion.json").write_text(content)
    with pytest.raises(ConversionError, match=message):
        read_conversion(folder)


def test_an_empty_folder_is_no_conversion(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="conversion.json: not found"):
        read_conversion(tmp_path)


def test_accuracy_is_a_share() -> None:
    assert Accuracy(3, 4).fraction == 0.75


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("model_bytes", "many"),
        ("model_bytes", 10**400),
        ("splits", [{"name": "test", "samples": None, "origin": "x"}]),
        ("accuracy", {"correct": "x", "total": 5, "interval": [0, 1]}),
        ("warnings", [5]),
        ("versions", {"numpy": 1}),
        ("inputs", [{"name": "x", "shape": ["a"], "dtype": "int8"}]),
        ("step_records", [{"kind": 5, "seconds": 1.0, "found": {}}]),
        ("recipe_steps", [5]),
    ],
)
def test_a_field_of_another_type_is_named(folder: Path, name: str, value: Any) -> None:
    edit(folder, **{name: value})
    with pytest.raises(ConversionError, match="a field is missing or has the wrong form") as caught:
        read_conversion(folder)
    assert caught.value.exit_code == 4


def test_a_json_that_is_nested_too_deeply_is_refused(folder: Path) -> None:
    (folder / "conversion.json").write_text("[" * 1_000_000)
    with pytest.raises(ConversionError, match="cannot be read"):
        read_conversion(folder)
