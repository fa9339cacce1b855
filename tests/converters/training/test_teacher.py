from __future__ import annotations

import numpy as np
import pytest

from converters.training.teacher import Teacher, average_teachers, log_probabilities

LOGITS = np.array([[2.0, -1.0, 0.5], [0.0, 0.0, 30.0]])


def softmax(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("temperature", [1.0, 4.0])
def test_probabilities_say_as_much_as_the_logits_they_came_from(temperature: float) -> None:
    of_logits = log_probabilities(LOGITS, probabilities=False)
    of_probabilities = log_probabilities(softmax(LOGITS), probabilities=True)
    np.testing.assert_allclose(of_logits[0], of_probabilities[0], atol=1e-5)
    np.testing.assert_allclose(
        softmax(of_probabilities[:1] / temperature),
        softmax(LOGITS[:1] / temperature),
        atol=1e-5,
    )


def test_a_probability_of_zero_stays_a_number() -> None:
    found = log_probabilities(np.array([[1.0, 0.0]]), probabilities=True)
    assert np.isfinite(found).all()
    assert found[0, 1] < -10


def test_one_score_is_two_classes() -> None:
    of_logit = log_probabilities(np.array([[1.5]]), probabilities=False)
    of_probability = log_probabilities(1 / (1 + np.exp([[-1.5]])), probabilities=True)
    np.testing.assert_allclose(of_logit, of_probability, atol=1e-5)
    np.testing.assert_allclose(np.exp(of_logit).sum(), 1, rtol=1e-6)


def test_an_ensemble_answers_with_the_mean_of_the_probabilities() -> None:
    first = Teacher(lambda batch: softmax(LOGITS[: len(batch)]), probabilities=True)
    second = Teacher(lambda batch: LOGITS[: len(batch), ::-1], probabilities=False)
    both = average_teachers([first, second], temperature=2.0, alpha=0.5)
    wanted = (softmax(LOGITS) + softmax(LOGITS[:, ::-1])) / 2
    np.testing.assert_allclose(np.exp(both.log_probabilities(np.zeros((2, 1)))), wanted, atol=1e-6)
    assert (both.temperature, both.alpha) == (2.0, 0.5)
