"""Judges a training after each epoch on samples that were not trained on, and ends it in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras

from converters.data.dataset import Samples
from converters.data.fields import are_finite, part
from converters.data.task import Task
from converters.sources.inputs_outputs import Probabilities
from converters.training.loss import mean_distance
from converters.training.parallel import predictor, summed, workers_of
from converters.training.teacher import log_probabilities

Array = npt.NDArray[Any]

_JUDGE_BATCH = 250
#: A loss that falls by less than this share has stopped falling.
_LEAST_GAIN = 0.01
#: Where the accuracy has stopped rising the learning rate falls to this share of it, so often.
_REDUCED_TO, _REDUCTIONS = 0.3, 2


@dataclass(frozen=True)
class Verdict:
    """How a model does on some samples: its accuracy, 0-1, and its mean cross entropy."""

    accuracy: float
    loss: float

    def beats(self, other: Verdict) -> bool:
        """Whether it is better: more accurate, or as accurate and surer of it."""
        return (self.accuracy, -self.loss) > (other.accuracy, -other.loss)

    def gains_on(self, other: Verdict) -> bool:
        """Whether it is so much better that it is worth to go on."""
        if self.accuracy != other.accuracy:
            return self.accuracy > other.accuracy
        return self.loss < other.loss * (1 - _LEAST_GAIN)


def _loss_of_output(task: Task, scores: Array, wanted: Array, probabilities: bool) -> float:
    """Of one of several outputs, as a mean over samples."""
    if not task.is_classification:
        return mean_distance(task, wanted, scores)
    logs = log_probabilities(scores, probabilities)
    return -float(logs[np.arange(len(wanted)), wanted].mean())


def verdict_on(model: Any, samples: Samples, probabilities: Probabilities) -> Verdict:
    """Ask a model about samples.

    Args:
        model: Of tf-keras.
        samples: With labels.
        probabilities: Whether a classifier's scores are probabilities rather than logits.

    Returns:
        Of what is no classifier, and of several outputs, an accuracy of 0: the loss decides.
    """
    correct, loss = 0.0, 0.0
    predict = predictor(model, samples.task.names)
    parts = samples.task.parts
    worker, workers = workers_of(model.distribute_strategy)
    for number, (batch, labels) in enumerate(samples.batches(_JUDGE_BATCH)):
        if number % workers != worker:
            continue
        scores = predict(batch)
        if not are_finite(scores):
            correct, loss = 0, float("inf")
            break
        for name, task in parts.items():
            of_output = part(scores, name), part(labels, name), part(probabilities, name)
            loss += _loss_of_output(task, *of_output) * len(batch)
        if parts:
            continue
        if not samples.task.is_classification:
            loss += mean_distance(samples.task, labels, scores) * len(batch)
            continue
        assert isinstance(probabilities, bool)
        logs = log_probabilities(scores, probabilities)
        correct += int((logs.argmax(axis=1) == labels).sum())
        loss -= float(logs[np.arange(len(labels)), labels].sum())
    correct, loss = summed((correct, loss), model.distribute_strategy)
    return Verdict(correct / len(samples), loss / len(samples))


class BestEpoch(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Remembers the weights that did best.

    Attributes:
        accuracies: After each epoch, 0-1.
        losses: After each epoch.
    """

    def __init__(
        self,
        validation: Samples,
        probabilities: Probabilities,
        patience: int,
        reduces: bool,
        first_epoch: int = 0,
    ) -> None:
        """Begin with nothing.

        Args:
            validation: Samples to judge by.
            probabilities: Whether the model's scores are probabilities rather than logits.
            patience: Epochs that gain nothing before something is done about it; 0 is never.
            reduces: Whether that is first a smaller learning rate, from the best weights on.
            first_epoch: The first that may be kept; those before are on their way to something.
        """
        super().__init__()
        self._validation, self._probabilities = validation, probabilities
        self._patience, self._reduces, self._first_epoch = patience, reduces, first_epoch
        self._weights: list[npt.NDArray[Any]] = []
        self._best = self._gained = Verdict(-1.0, float("inf"))
        self._best_epoch = self._idle = self._reductions = 0
        self.accuracies: list[float] = []
        self.losses: list[float] = []
        self.ended = False

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Judge the epoch; slow down or end where nothing is gained any more."""
        found = verdict_on(self.model, self._validation, self._probabilities)
        self.accuracies.append(found.accuracy)
        self.losses.append(found.loss)
        if logs is not None:
            logs["validation_accuracy"], logs["validation_loss"] = found.accuracy, found.loss
        if epoch < self._first_epoch:
            return
        if not self._weights or found.beats(self._best):
            self._best, self._best_epoch, self._weights = found, epoch, self.model.get_weights()
        if found.gains_on(self._gained):
            self._gained, self._idle = found, 0
            return
        self._idle += 1
        if self._patience and self._idle >= self._patience:
            self._slow_down_or_end()

    def _slow_down_or_end(self) -> None:
        if not self._reduces or self._reductions == _REDUCTIONS:
            self.ended = self.model.stop_training = True
            return
        self._reductions, self._idle = self._reductions + 1, 0
        self.model.set_weights(self._weights)
        rate = self.model.optimizer.learning_rate
        rate.assign(rate * _REDUCED_TO)

    def keep(self) -> int:
        """Give the model the weights of its best epoch; which that was, from 0."""
        if self._weights:
            self.model.set_weights(self._weights)
        return self._best_epoch

    def state(self) -> tuple[dict[str, Any], list[npt.NDArray[Any]]]:
        """All that `restore` needs: plain data, and the weights."""
        plain = {
            "best": [self._best.accuracy, self._best.loss],
            "gained": [self._gained.accuracy, self._gained.loss],
            "counts": [self._best_epoch, self._idle, self._reductions],
            "accuracies": self.accuracies,
            "losses": self.losses,
            "ended": self.ended,
        }
        return plain, self._weights

    def restore(self, plain: dict[str, Any], weights: list[npt.NDArray[Any]]) -> None:
        """Go on where `state` was taken."""
        self._best, self._gained = Verdict(*plain["best"]), Verdict(*plain["gained"])
        self._best_epoch, self._idle, self._reductions = plain["counts"]
        self.accuracies, self.ended = list(plain["accuracies"]), plain["ended"]
        self.losses = list(plain["losses"])
        self._weights = weights
