"""Distillation: a model learns from a teacher's answers, not from the labels alone.

The loss is that of Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015):

    (1 - alpha) * CE(y, z_s)  +  alpha * T^2 * KL(softmax(z_t / T) || softmax(z_s / T))

T^2 keeps the size of the gradients, which would fall with 1/T^2. Most Keras models end in a softmax
and give probabilities p; log p is as good as the logits, as softmax(log p / T) differs from
softmax(z / T) by a factor that cancels. One score that tells two classes apart is the two logits
(0, z).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from converters.data.fields import part
from converters.sources.inputs_outputs import Probabilities

if TYPE_CHECKING:
    from converters.training.feature_distill import Features

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

#: Below it a float32 softmax says nothing; log of it is -16.
_SMALLEST_PROBABILITY = 1e-7


@dataclass(frozen=True)
class Teacher:
    """Whom a model learns from, and how much."""

    predict: Callable[[Array], Array]
    """float32 batch (n, ...) to scores (n, outputs); such as `LoadedModel.predict`, of several
    outputs with a field for each. Asked about the very batch, augmented or not, that the student
    sees."""
    probabilities: Probabilities
    """Whether those scores are probabilities rather than logits."""
    temperature: float = 4.0
    """Above 1 it shows how the wrong classes compare; 1 or more."""
    alpha: float = 0.8
    """Share of the teacher in the loss, 0-1; with 1 no label is looked at."""
    features: Features | None = None
    """What its layers teach besides, or None."""

    def log_probabilities(self, batch: Array) -> Floats:
        """What the teacher answers at temperature 1: logarithms, shape (n, classes)."""
        assert isinstance(self.probabilities, bool)
        return log_probabilities(np.asarray(self.predict(batch)), self.probabilities)

    def answering(self, batch: Array) -> Teacher:
        """The same with its answers to this batch, which it is not asked about again."""
        answers = self.predict(batch)
        return replace(self, predict=lambda _: answers)

    def of_output(self, name: str) -> Teacher:
        """The same with the answers of one of several outputs."""
        ask = self.predict
        return replace(
            self,
            predict=lambda batch: part(ask(batch), name),
            probabilities=part(self.probabilities, name),
        )


def ensemble(
    teachers: Sequence[Teacher],
    temperature: float = 4.0,
    alpha: float = 0.8,
    features: Features | None = None,
) -> Teacher:
    """Several teachers as one: their probabilities, not their logits, are averaged.

    Args:
        teachers: At least one; their own temperature and alpha are not used.
        temperature: As in `Teacher`.
        alpha: As in `Teacher`.
        features: As in `Teacher`; of one of them.
    """

    def predict(batch: Array) -> Array:
        answers = [np.exp(teacher.log_probabilities(batch)) for teacher in teachers]
        mean: Array = np.mean(answers, axis=0)
        return mean

    return Teacher(predict, True, temperature, alpha, features)


def log_probabilities(scores: Array, probabilities: bool) -> Floats:
    """Logarithms of the classes' probabilities, whatever the scores are.

    Args:
        scores: Shape (n, outputs); a single output tells class 1 from class 0.
        probabilities: Whether they are probabilities rather than logits.

    Returns:
        float32, shape (n, max(2, outputs)).
    """
    scores = scores.astype(np.float64)
    if probabilities:
        if scores.shape[1] == 1:
            scores = np.concatenate([1 - scores, scores], axis=1)
        logits = np.log(np.clip(scores, _SMALLEST_PROBABILITY, 1.0))
    else:
        logits = scores
        if scores.shape[1] == 1:
            logits = np.concatenate([np.zeros_like(scores), scores], axis=1)
    logits = logits - logits.max(axis=1, keepdims=True)
    normalized: Floats = (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(
        np.float32
    )
    return normalized
