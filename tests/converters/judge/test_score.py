from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import precision_recall_fscore_support

from converters.judge.score import score, wilson


def test_means_over_the_classes_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, 300)
    chosen = np.where(random.random(300) < 0.7, labels, random.integers(0, 6, 300))
    found = score("file", "test", chosen, labels)
    wanted = precision_recall_fscore_support(labels, chosen, average="macro", zero_division=0)
    assert (found.precision, found.recall, found.f1) == pytest.approx(wanted[:3])
    assert found.accuracy == pytest.approx((chosen == labels).mean())


@pytest.mark.parametrize(
    ("correct", "samples", "low", "high"),
    # Newcombe (1998), "Two-sided confidence intervals for the single proportion", table I, method 3
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_the_interval_of_a_share_is_wilsons(
    correct: int, samples: int, low: float, high: float
) -> None:
    assert wilson(correct, samples) == pytest.approx((low, high), abs=5e-5)


def test_an_interval_stays_within_0_and_1() -> None:
    assert wilson(0, 5)[0] == 0.0
    assert wilson(5, 5)[1] == 1.0
    assert all(wilson(0, n)[0] == 0.0 and wilson(n, n)[1] == 1.0 for n in range(1, 600))
