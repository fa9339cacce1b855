"""Recurrent layers of tf-keras and Keras 3, trained, through each recipe without training."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
NAMES = (
    "LSTM, tf-keras",
    "Bidirectional LSTM, tf-keras",
    "GRU, tf-keras",
    "GRU, reset_after=False, tf-keras",
    "LSTM",
    "Bidirectional GRU",
)
STREAMS = ("stream, tf_keras", "stream, keras")


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("recurrent")
    command = [sys.executable, "-m", "tests.converters.programs.recurrent_report", str(folder)]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith("{")]
    return {report.pop("model"): report for report in lines}


@pytest.mark.parametrize("name", STREAMS)
def test_a_stateful_layer_is_judged_by_fresh_samples_and_keeps_its_state(
    reports: dict[str, Any], name: str
) -> None:
    """In a stream the int8 file reads the state that it assigned, and not the zeros at first."""
    report = reports[name]
    assert report["float32"] == report["accuracy"]
    assert report["ptq_w8a8"] == pytest.approx(report["accuracy"], abs=0.025)
    assert report["ptq_w8a16"] == pytest.approx(report["accuracy"], abs=0.025)
    assert report["agreement"] > 0.93


@pytest.mark.parametrize("name", NAMES)
def test_every_file_is_as_right_as_its_model(reports: dict[str, Any], name: str) -> None:
    report = reports[name]
    accuracy = report.pop("accuracy")
    assert accuracy > 0.8, "the model did not learn"
    # The state of a fused LSTM would cost half of the accuracy if it leaked between samples.
    assert report.pop("float32") == accuracy
    assert set(report) == {"ptq_w8a8", "ptq_w8a16", "ptq_dynamic", "ptq_weight_only", "ptq_f16"}
    for kind, file_accuracy in report.items():
        assert file_accuracy == pytest.approx(accuracy, abs=0.025), (kind, file_accuracy)
