"""Distillation: a model learns from a teacher's answers, not from the labels alone.

The loss is that of Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network" (2015):

    (1 - alpha) * CE(y, z_s)  +  alpha * T^2 * KL(softmax(z_t / T) || softmax(z_s / T))

T^2 keeps the size of the gradients, which would fall with 1/T^2. Most Keras models end in a softmax
and give probabilities p; log p is as good as the logits, as softmax(log p / T) differs from
softmax(z / T) by a factor that cancels. One score that tells two classes apart is the two logits
(0, z).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from converters.data.fields import select_field
from converters.sources.inputs_outputs import Probabilities

if TYPE_CHECKING:
    from converters.training.feature_distill import Features

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

#: Smallest probability whose logarithm is used: smaller ones of a float32 softmax carry no
#: information. Its logarithm is -16.
SMALLEST_PROBABILITY = 1e-7


@dataclass(frozen=True)
class Teacher:
    """A model to learn from, and its weight in the loss."""

    predict: Callable[[Array], Array]
    """Function of a float32 batch (n, ...) to scores (n, outputs), such as `LoadedModel.predict`;
    for several outputs shape (n,), a field for each. It gets the same batch as the student, with
    the same augmentation."""
    probabilities: Probabilities
    """Whether the scores are probabilities, not logits."""
    temperature: float = 4.0
    """Temperature of the softmax, 1 or more; above 1 the wrong classes get more weight."""
    alpha: float = 0.8
    """Share of the teacher in the loss, 0-1; with 1 the labels have no influence."""
    features: Features | None = None
    """Layers of the teacher that the student also learns from, or None."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Facts about it for conversion.json; empty if it is the original model as it was given."""

    def log_probabilities(self, batch: Array) -> Floats:
        """Logarithms of the teacher's probabilities at temperature 1.

        Args:
            batch: Inputs, float32, shape (n, ...); for several inputs shape (n,), a field for each.

        Returns:
            float32, shape (n, max(2, outputs)).
        """
        assert isinstance(self.probabilities, bool)
        return log_probabilities(np.asarray(self.predict(batch)), self.probabilities)

    def with_answers(self, batch: Array) -> Teacher:
        """Teacher with its answers to this batch (n, ...), computed once for all outputs."""
        answers = self.predict(batch)
        return replace(self, predict=lambda _: answers)

    def for_output(self, name: str) -> Teacher:
        """Teacher of one of several outputs."""
        ask = self.predict
        return replace(
            self,
            predict=lambda batch: select_field(ask(batch), name),
            probabilities=select_field(self.probabilities, name),
        )


def average_teachers(
    teachers: Sequence[Teacher],
    temperature: float = 4.0,
    alpha: float = 0.8,
    features: Features | None = None,
) -> Teacher:
    """Combine several teachers: their probabilities, not their logits, are averaged.

    Args:
        teachers: Teachers, at least one; their own temperature and alpha are not used.
        temperature: Temperature of the softmax (`Teacher.temperature`).
        alpha: Share of the teachers in the loss (`Teacher.alpha`).
        features: Layers of one teacher to learn from (`Teacher.features`).
    """

    def predict(batch: Array) -> Array:
        answers = [np.exp(teacher.log_probabilities(batch)) for teacher in teachers]
        mean: Array = np.mean(answers, axis=0)
        return mean

    return Teacher(predict, True, temperature, alpha, features)


def log_probabilities(scores: Array, probabilities: bool) -> Floats:
    """Logarithms of the probabilities of the classes, from probabilities or logits.

    Args:
        scores: Scores, any real dtype, shape (n, outputs); a single output is the score of class 1
            against class 0.
        probabilities: Whether the scores are probabilities, 0-1, not logits.

    Returns:
        float32, shape (n, max(2, outputs)), at most 0.
    """
    scores = scores.astype(np.float64)
    if probabilities:
        if scores.shape[1] == 1:
            scores = np.concatenate([1 - scores, scores], axis=1)
        logits = np.log(np.clip(scores, SMALLEST_PROBABILITY, 1.0))
    else:
        logits = scores
        if scores.shape[1] == 1:
            logits = np.concatenate([np.zeros_like(scores), scores], axis=1)
    logits = logits - logits.max(axis=1, keepdims=True)
    normalized: Floats = (logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))).astype(
        np.float32
    )
    return normalized
