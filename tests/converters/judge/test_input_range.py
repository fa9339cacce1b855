"""A model that sees another range than in training is noticed by its first normalization."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.judge.input_range import times_off
from converters.request import ConversionRequest
from tests.converters.warm import convert


def test_numbers_as_in_training_are_not_off() -> None:
    random = np.random.default_rng(0)
    variance = np.array([4.0, 9.0, 0.0])
    seen = random.normal(0, np.sqrt(variance), (1000, 3))
    assert times_off(seen, variance) == pytest.approx(1, abs=0.1)
    assert times_off(seen / 255, variance) == pytest.approx(1 / 255, rel=0.1)
    assert times_off(seen, np.zeros(3)) == 1
    seen[17] = 1e6
    assert times_off(seen, variance) == pytest.approx(1, abs=0.1)


def test_0_to_1_for_a_model_of_0_to_16_is_told_and_what_to_do(
    digits: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    with np.load(digits / "digits.npz") as data:
        small = {n: x / 255 if n.startswith("x") else x for n, x in data.items()}
    np.savez(tmp_path / "small.npz", **small)
    request = replace(digits_request, data=tmp_path / "small.npz", recipe="float32")
    first, *_ = convert(replace(request, out=tmp_path / "out")).warnings
    assert "what the normalization 'batch_normalization' gets from this data is 25" in first
    assert "times smaller than in training (the data lies between 0 and 0.06" in first
    assert "--image-range" in first
