from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.converters.conftest import run_child


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bit_errors")
    run_child("-m", "converters.digits_bit_errors", "--out", folder)
    return folder


def accuracies(pair: Path, recipe: str) -> tuple[float, float]:
    """Accuracy of the float model and of the file, 0-1."""
    model, data = pair / "digits.keras", pair / "digits.npz"
    options = ["--data", data, "--recipe", recipe, "--out", pair / recipe, "--json"]
    command = [sys.executable, "-m", "toolkit.cli", "convert", model, *options]
    done = subprocess.run(command, cwd=pair, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    report: dict[str, Any] = json.loads(done.stdout)
    before, after = report["float_accuracy"], report["accuracy"]
    return before["correct"] / before["samples"], after["correct"] / after["samples"]


def test_one_image_of_300_has_a_flipped_bit(pair: Path) -> None:
    with np.load(pair / "digits.npz") as data:
        for name, count in (("x_train", 4), ("x_test", 1)):
            assert np.count_nonzero(data[name] == 4096) == count
            assert np.count_nonzero(data[name] > 16) == count


def test_the_network_loses_by_post_training_quantization(pair: Path) -> None:
    before, after = accuracies(pair, "ptq_w8a8")
    assert before >= 0.97
    assert after <= before - 0.03


def test_the_network_does_not_lose_by_quantization_aware_training(pair: Path) -> None:
    before, after = accuracies(pair, "qat_w8a8")
    assert after >= before - 0.015
