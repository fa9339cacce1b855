"""From an output to an answer."""

import json
from typing import Any

import numpy as np
import pytest

from device_agent.contract.model_card import Output
from device_agent.samples.postprocess import answer


def ask(values: list[float], **meant: Any) -> dict[str, Any]:
    found = answer(np, np.array([values], np.float32), Output("classification", **meant))
    json.dumps(found, allow_nan=False)
    return found


def test_the_best_come_first_and_the_first_of_equals_before_the_second() -> None:
    assert ask([0.25, 0.5, 0.25, 0.0], top_k=3)["classes"] == [[1, 0.5], [0, 0.25], [2, 0.25]]


def test_what_does_not_reach_the_threshold_is_no_answer() -> None:
    found = ask([0.25, 0.5, 0.25], threshold=0.3)

    assert found["classes"] == [[1, 0.5]]
    assert ask([0.25, 0.5, 0.25], threshold=0.6) == {"classes": [], "best": [1, 0.5]}


def test_a_softmax_adds_up_to_1_and_never_overflows() -> None:
    found = ask([1000.0, 999.0, -1000.0], activation="softmax")

    assert [number for number, _ in found["classes"]] == [0, 1, 2]
    assert sum(score for _, score in found["classes"]) == pytest.approx(1)
    assert found["best"][1] == pytest.approx(1 / (1 + np.exp(-1)))


@pytest.mark.parametrize(("logit", "score"), [(0, 0.5), (1000, 1), (-1000, 0), (2, 0.880797)])
def test_a_single_score_stands_for_two_classes(logit: float, score: float) -> None:
    found = dict(ask([logit], activation="sigmoid")["classes"])

    assert found[1] == pytest.approx(score, abs=1e-6)
    assert found[0] + found[1] == pytest.approx(1)


def test_a_score_that_is_no_number_is_null() -> None:
    assert ask([float("nan")], threshold=0.1)["best"][1] is None


def test_a_regression_answers_with_its_values() -> None:
    real = np.array([[1.5, -2.0]], np.float32)

    assert answer(np, real, Output("regression")) == {"values": [1.5, -2.0]}


def test_a_raw_array_is_told_what_it_is_like() -> None:
    found = answer(np, np.arange(6, dtype=np.int64).reshape(1, 2, 3), Output("raw"))

    assert found == {"shape": [1, 2, 3], "min": 0, "max": 5, "mean": 2.5}
    assert answer(np, np.zeros((1, 0), np.float32), Output("raw")) == {"shape": [1, 0]}
