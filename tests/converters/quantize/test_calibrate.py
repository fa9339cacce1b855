"""Ranges of activations: how they are cut, and what is said about poor samples. Pure."""

from __future__ import annotations

import numpy as np
import pytest

from converters.data.dataset import Samples
from converters.quantize.calibrate import (
    calibration_warnings,
    least_error_range,
    percentile_range,
)


def histogram(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.histogram(numbers, 2048)


def test_the_least_error_of_laplace_numbers_is_where_the_literature_has_it() -> None:
    """Banner et al., "Post training 4-bit quantization" (2019): 9.89 times the scale for 8 bits."""
    numbers = np.random.default_rng(0).laplace(0, 1, 4_000_000)
    assert np.abs(numbers).max() > 14
    low, high = least_error_range(*histogram(numbers))
    assert high == pytest.approx(9.89, rel=0.08)
    assert -low == pytest.approx(9.89, rel=0.08)


def test_numbers_without_tails_keep_their_range() -> None:
    numbers = np.random.default_rng(0).uniform(0, 6, 100_000)
    low, high = least_error_range(*histogram(numbers))
    assert low == pytest.approx(0, abs=0.01)
    assert high == pytest.approx(6, rel=0.01)


def test_a_percentile_leaves_so_many_out_at_each_end() -> None:
    numbers = np.random.default_rng(0).normal(0, 1, 1_000_000)
    low, high = percentile_range(*histogram(numbers), 99.9)
    # Of a normal distribution 0.1 % lie beyond 3.09.
    assert high == pytest.approx(3.09, abs=0.03)
    assert low == pytest.approx(-3.09, abs=0.03)
    assert percentile_range(*histogram(numbers), 100) == (numbers.min(), numbers.max())


def samples(labels: list[int], stored: np.ndarray | None = None) -> Samples:
    labels = np.array(labels, np.int64)
    return Samples(np.arange(len(labels))[:, None] if stored is None else stored, labels)


def test_good_samples_need_no_warning() -> None:
    assert calibration_warnings(samples([0, 1, 2, 0]), 4, 3) == ()


def test_a_class_that_is_missing_is_named() -> None:
    (warning,) = calibration_warnings(samples([0, 2, 0, 2]), 4, 4)
    assert "2 of 4 classes are missing among the calibration samples (1, 3)" in warning


def test_too_few_samples_are_counted() -> None:
    (warning,) = calibration_warnings(samples([0, 1]), 500, 2)
    assert "only 2 of 500 calibration samples" in warning


def test_samples_that_are_all_the_same_are_noticed() -> None:
    (warning,) = calibration_warnings(samples([0, 1, 0], np.full((3, 4), 7)), 3, 2)
    assert "all calibration samples are the same" in warning
