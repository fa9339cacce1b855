"""What teachers teach, what is left of it in the file, and who may teach; see distill_report.py."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.errors import ConversionError
from converters.recipe.recipe import RecipeError, load_recipe
from converters.request import ConversionRequest
from converters.work.step_keys import StepKeys
from tests.converters.conftest import run_program
from tests.converters.warm import convert


@pytest.fixture(scope="module")
def report(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """See distill_report.py."""
    path = tmp_path_factory.mktemp("distill") / "report.json"
    run_program(
        "distill_report",
        digits / "digits.keras",
        digits / "digits.npz",
        path,
    )
    return json.loads(path.read_text())


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits)
    return powers / powers.sum(axis=-1, keepdims=True)


def test_the_loss_is_hintons(report: dict[str, Any]) -> None:
    """(1 - alpha) CE + alpha T^2 KL, with alpha 0.75 and T 2."""
    wanted = []
    for label, teacher, logits in (
        (0, [0.7, 0.2, 0.1], [1.0, 0.0, -1.0]),
        (2, [0.1, 0.1, 0.8], [0.5, 0.5, 2.0]),
    ):
        of_labels = -np.log(softmax(np.array(logits))[label])
        soft, said = softmax(np.log(teacher) / 2), softmax(np.array(logits) / 2)
        divergence = np.sum(soft * (np.log(soft) - np.log(said)))
        wanted.append(0.25 * of_labels + 0.75 * 4 * divergence)
    assert report["loss"] == pytest.approx(wanted, rel=1e-5)


def test_attention_is_the_squares_over_channels_of_length_1(report: dict[str, Any]) -> None:
    found, length = report["features"], np.hypot(9, 16)
    assert found["map"] == pytest.approx([9 / length, 16 / length])
    assert found["doubled"] == pytest.approx(0, abs=1e-6)  # how strong it is does not matter
    distance = (1 - 9 / length) ** 2 + (16 / length) ** 2
    assert found["attention"] == pytest.approx(2.0 * distance)
    assert found["whole"] == pytest.approx(2.0 * distance)  # the answers agree


def test_a_regressor_is_judged_by_its_error_as_a_share(report: dict[str, Any]) -> None:
    assert report["features"]["regressor"] == pytest.approx(0.5 * 0.25)  # half of it is missing


def test_layers_are_paired_before_each_loss_of_resolution(report: dict[str, Any]) -> None:
    sizes = [(pair[2], pair[3]) for pair in report["pairs"]]
    assert sizes == [(8, 8), (4, 4)]
    assert all(student == teacher for student, teacher, *_ in report["pairs"])
    # Half of the student is gone.
    assert any(report["channels"][pair[0]] < pair[4] for pair in report["pairs"])


@pytest.mark.parametrize("features", ["attention", "regressor"])
def test_nothing_of_the_features_is_in_the_files_but_what_they_taught(
    report: dict[str, Any], features: str
) -> None:
    plain, taught = report["files"]["none"], report["files"][features]
    assert taught["float"] == plain["float"]
    assert len(plain["float"]) > 10
    assert taught["names"] == plain["names"]
    assert taught["weights"] != plain["weights"]


def test_nor_is_it_in_the_file_that_was_trained_in_8_bits(report: dict[str, Any]) -> None:
    assert report["files"]["regressor"]["int8"] == report["files"]["none"]["int8"]
    assert len(report["files"]["none"]["int8"]) > 10


def test_with_alpha_1_no_label_is_looked_at(report: dict[str, Any]) -> None:
    """The same weights to the last bit come of shuffled labels."""
    assert report["same_without_labels"] == {
        "distill 1": True,
        "distill 0.5": False,
        "qat_w8a8 1": True,
    }


@pytest.fixture(scope="module")
def teachers(digits: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("teachers")
    run_program("teacher_models", digits / "digits.keras", folder)
    return folder


@pytest.fixture
def taught_by(teachers: Path) -> Callable[..., Any]:
    """The path of a recipe whose teachers are these, beside them."""

    def write(*names: Any, fields: str = "") -> str:
        path = teachers / "taught.toml"
        path.write_text(
            f'schema = 1\n[[step]]\nkind = "qat_w8a8"\nepochs = 1\nlearning_rate = 1e-4\n{fields}'
            f"\nteachers = {json.dumps(names)}\n"
        )
        return str(path)

    return write


def test_several_teachers_are_named_in_the_recipe_and_told_by_digest(
    taught_by: Callable[..., Any], teachers: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    recipe = taught_by("same.h5", "other.keras", fields='features = "attention"')
    conversion = convert(replace(digits_request, recipe=recipe, out=tmp_path / "out"))
    (record,) = conversion.step_records
    digests = [
        hashlib.sha256((teachers / name).read_bytes()).hexdigest()
        for name in ("same.h5", "other.keras")
    ]
    assert [told["sha256"] for told in record.found["teachers"]] == digests
    assert conversion.accuracy.fraction > 0.95


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("seven_classes.keras", "tells so many classes apart: 7, the model 10"),
        ("for_0_to_1.keras", "16 times larger than in training"),
        ("other_order.keras", "the classes in another order"),
    ],
)
def test_a_teacher_that_does_not_fit_is_refused(
    taught_by: Callable[..., Any],
    digits_request: ConversionRequest,
    tmp_path: Path,
    name: str,
    told: str,
) -> None:
    request = replace(digits_request, recipe=taught_by("same.h5", name), out=tmp_path / "out")
    with pytest.raises(ConversionError, match=told) as caught:
        convert(request)
    assert name in str(caught.value)
    assert "trained on the same data" in caught.value.hint
    assert not (tmp_path / "out").exists()


def test_a_teacher_that_changed_is_another_step(
    taught_by: Callable[..., Any], teachers: Path
) -> None:
    keys = StepKeys("", "", "", 0, "", {})
    recipe = load_recipe(taught_by("same.h5"))
    content = (teachers / "same.h5").read_bytes()
    before = keys.of(recipe)
    try:
        (teachers / "same.h5").write_bytes(content + b"x")
        assert keys.of(recipe) != before
    finally:
        (teachers / "same.h5").write_bytes(content)
    assert keys.of(recipe) == before


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('teachers = ["nobody.h5"]', "nobody.h5 not found"),
        ('teachers = "a.h5"', "expected a list of files"),
        ('features = "attention"', "there is no teacher"),
        ('teacher = "original"\nfeatures = "all"', "none, attention, regressor"),
    ],
)
def test_a_recipe_that_names_teachers_wrongly_is_told(tmp_path: Path, line: str, told: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(f'schema = 1\n[[step]]\nkind = "qat_w8a8"\n{line}\n')
    with pytest.raises(RecipeError) as caught:
        load_recipe(str(path))
    assert told in f"{caught.value} {caught.value.hint}"
