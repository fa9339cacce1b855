"""Training that is left to kedge: its learning rate, its end, and its way back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from converters.recipe.recipe import RecipeError, parse_recipe
from tests.converters.conftest import run_program


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """See training_report.py."""
    path = tmp_path_factory.mktemp("training") / "report.json"
    run_program("training_report", path)
    return json.loads(path.read_text())


def test_the_learning_rate_is_the_one_that_did_best_in_a_trial(report: dict[str, Any]) -> None:
    tried = {float(rate): loss for rate, loss in report["whole"]["tried"].items()}
    assert set(tried) == {1e-6, 3e-3, 1e-2}
    assert report["whole"]["learning_rate"] == min(tried, key=lambda rate: tried[rate])
    assert report["whole"]["learning_rate"] > 1e-6  # which learns nothing
    assert report["rates"][0] == pytest.approx(report["whole"]["learning_rate"])


def test_it_ends_when_nothing_is_gained_and_keeps_the_best_epoch(report: dict[str, Any]) -> None:
    whole = report["whole"]
    epochs = len(whole["losses"])
    assert epochs < 30
    best = max(whole["accuracies"])
    assert whole["accuracies"][whole["kept_epoch"]] == best
    assert epochs >= 1 + 3 * 2  # twice more, with a smaller learning rate, each two epochs
    steps = sorted(set(report["rates"]), reverse=True)
    assert len(steps) == 3
    assert [steps[1] / steps[0], steps[2] / steps[1]] == pytest.approx([0.3, 0.3])


def test_an_interrupted_training_ends_at_the_very_same_weights(report: dict[str, Any]) -> None:
    assert report["interrupted"]
    assert report["resumed"] == report["whole"]
    assert report["same_weights"]
    assert 0 < len(report["rates_after"]) < len(report["rates"])
    assert report["rates_after"] == report["rates"][-len(report["rates_after"]) :]


def test_the_learning_rate_rises_and_then_follows_the_cosine(report: dict[str, Any]) -> None:
    rates, steps = np.array(report["averaged"]["rates"]), 10
    warm = 2 * steps
    assert rates[0] < 1e-2 / warm + 1e-6
    assert (np.diff(rates[:warm]) > 0).all()
    assert (np.diff(rates[warm:]) < 0).all()
    assert rates.max() == pytest.approx(1e-2)
    middle = warm + (len(rates) - warm) // 2
    assert rates[middle] == pytest.approx(5e-3, rel=0.05)


def test_the_model_gets_the_average_of_its_weights(report: dict[str, Any]) -> None:
    found = report["averaged"]
    assert found["farthest"] < 1e-5
    assert found["moved"] > 10 * found["farthest"]


def test_the_statistics_of_a_normalization_fit_the_averaged_weights(report: dict[str, Any]) -> None:
    right, stored = np.array(report["averaged"]["means"])
    assert stored == pytest.approx(right, abs=0.1)
    right, stored = np.array(report["averaged"]["variances"])
    assert stored == pytest.approx(right, rel=0.35)  # mixed samples vary less


def test_an_interrupted_average_ends_at_the_very_same_weights(report: dict[str, Any]) -> None:
    assert report["averaged"]["same_weights"]
    assert report["averaged"]["epochs"] == 12


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "no cosine to rise to"),
        ({"epochs": 8}, "no cosine to rise to"),
        ({"epochs": 2, "learning_rate": 1e-3, "warmup_epochs": 2}, "2 of 2 epochs"),
    ],
)
def test_a_warm_up_needs_a_cosine(fields: dict[str, Any], words: str) -> None:
    for kind in ("tune", "qat_w8a8", "sparse"):
        step = {"kind": kind, "warmup_epochs": 1, **fields}
        with pytest.raises(RecipeError, match=words):
            parse_recipe({"schema": 1, "step": [step]}, "mine")


def test_pruned_and_shared_weights_have_no_average() -> None:
    for kind in ("sparse", "cluster"):
        with pytest.raises(RecipeError, match="'weight_average' is unknown"):
            parse_recipe({"schema": 1, "step": [{"kind": kind, "weight_average": 0.9}]}, "mine")


def test_a_training_that_is_done_is_forgotten(report: dict[str, Any]) -> None:
    assert report["forgotten"]


def test_what_was_chosen_is_in_the_record(digits_qat: tuple[Any, ...]) -> None:
    (record,) = digits_qat[0].step_records
    found = record.found
    assert found["chosen_by"] == "kedge"
    assert f"{found['learning_rate']:g}" in found["tried"]
    assert len(found["losses"]) == found["epochs"] == len(found["validation_accuracies"])
    kept = found["validation_accuracies"][found["kept_epoch"]]
    assert kept == max(found["validation_accuracies"])
