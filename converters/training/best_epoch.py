"""Judge a training after each epoch on samples that it does not learn from, and end it in time."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tf_keras

from converters.data.dataset import Samples
from converters.data.fields import are_finite, select_field
from converters.data.task import Task
from converters.sources.inputs_outputs import Probabilities
from converters.training.loss import mean_distance
from converters.training.parallel import predictor, sum_over_workers, worker_position
from converters.training.teacher import log_probabilities
from converters.training.weight_average import WeightAverage

Array = npt.NDArray[Any]

_JUDGE_BATCH = 250
#: Smallest share by which a loss must fall to count as a gain.
_LEAST_GAIN = 0.01
#: Factor of the learning rate when there is no more gain, and how often it is applied.
_REDUCED_TO, _REDUCTIONS = 0.3, 2


@dataclass(frozen=True)
class EpochScore:
    """Accuracy of a model on some samples, 0-1, and its mean loss per sample."""

    accuracy: float
    loss: float

    def beats(self, other: EpochScore) -> bool:
        """Whether the score is better: a higher accuracy, or an equal one with a lower loss."""
        return (self.accuracy, -self.loss) > (other.accuracy, -other.loss)

    def gains_on(self, other: EpochScore) -> bool:
        """Whether the score is so much better that training should go on.

        That is a higher accuracy, or an equal one with a loss lower by more than `_LEAST_GAIN`.
        """
        if self.accuracy != other.accuracy:
            return self.accuracy > other.accuracy
        return self.loss < other.loss * (1 - _LEAST_GAIN)


def _output_loss(task: Task, scores: Array, right: Array, probabilities: bool) -> float:
    """Loss of one of several outputs, as a mean over samples."""
    if not task.is_classification:
        return mean_distance(task, right, scores)
    logs = log_probabilities(scores, probabilities)
    return -float(logs[np.arange(len(right)), right].mean())


def score_model(model: Any, samples: Samples, probabilities: Probabilities) -> EpochScore:
    """Score a model on samples.

    Args:
        model: tf-keras model.
        samples: Samples with labels or right answers.
        probabilities: Whether a classifier's scores are probabilities, not logits.

    Returns:
        Accuracy and loss. The accuracy is 0 where the task is no classification or there are
        several outputs: then only the loss decides.
    """
    correct, loss = 0.0, 0.0
    predict = predictor(model, samples.task.names)
    parts = samples.task.parts
    worker, workers = worker_position(model.distribute_strategy)
    for number, (batch, labels) in enumerate(samples.batches(_JUDGE_BATCH)):
        if number % workers != worker:
            continue
        scores = predict(batch)
        if not are_finite(scores):
            correct, loss = 0, float("inf")
            break
        for name, task in parts.items():
            of_output = (
                select_field(scores, name),
                select_field(labels, name),
                select_field(probabilities, name),
            )
            loss += _output_loss(task, *of_output) * len(batch)
        if parts:
            continue
        if not samples.task.is_classification:
            loss += mean_distance(samples.task, labels, scores) * len(batch)
            continue
        assert isinstance(probabilities, bool)
        logs = log_probabilities(scores, probabilities)
        correct += int((logs.argmax(axis=1) == labels).sum())
        loss -= float(logs[np.arange(len(labels)), labels].sum())
    correct, loss = sum_over_workers((correct, loss), model.distribute_strategy)
    return EpochScore(correct / len(samples), loss / len(samples))


class BestEpoch(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Remember the weights with the best score; `accuracies` (0-1) and `losses` hold all epochs."""

    def __init__(
        self,
        validation: Samples,
        probabilities: Probabilities,
        patience: int,
        reduces: bool,
        first_epoch: int = 0,
        average: WeightAverage | None = None,
    ) -> None:
        """Begin without any epoch.

        Args:
            validation: Samples to judge by.
            probabilities: Whether the model's scores are probabilities, not logits.
            patience: Number of epochs without a gain before the training ends or the learning rate
                falls; 0 for never.
            reduces: Whether the learning rate falls first, twice, each time from the best weights.
            first_epoch: First epoch that may be kept, from 0; before it, a pruning schedule is not
                complete.
            average: Average of the weights that is judged and kept in place of the weights of the
                last step, or None.
        """
        super().__init__()
        self._validation, self._probabilities = validation, probabilities
        self._patience, self._reduces, self._first_epoch = patience, reduces, first_epoch
        self._average = average
        self._weights: list[npt.NDArray[Any]] = []
        self._best = self._gained = EpochScore(-1.0, float("inf"))
        self._best_epoch = self._idle = self._reductions = 0
        self.accuracies: list[float] = []
        self.losses: list[float] = []
        self.ended = False

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Judge the epoch; without a gain, reduce the learning rate or end the training."""
        with self._average.apply_briefly(self.model) if self._average else nullcontext():
            score = score_model(self.model, self._validation, self._probabilities)
            weights = self.model.get_weights()
        self.accuracies.append(score.accuracy)
        self.losses.append(score.loss)
        if logs is not None:
            logs["validation_accuracy"], logs["validation_loss"] = score.accuracy, score.loss
        if epoch < self._first_epoch:
            return
        if not self._weights or score.beats(self._best):
            self._best, self._best_epoch, self._weights = score, epoch, weights
        if score.gains_on(self._gained):
            self._gained, self._idle = score, 0
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
        if self._average:
            self._average.restart(self._weights)
        rate = self.model.optimizer.learning_rate
        rate.assign(rate * _REDUCED_TO)

    def keep(self) -> int:
        """Give the model the weights of its best epoch, and return that epoch's number, from 0."""
        if self._weights:
            self.model.set_weights(self._weights)
        return self._best_epoch

    def state(self) -> tuple[dict[str, Any], list[npt.NDArray[Any]]]:
        """State for `restore`: plain data, and the best weights, one array of any shape each."""
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
        """Continue from a `state`: plain data and the best weights, one array of any shape each."""
        self._best, self._gained = EpochScore(*plain["best"]), EpochScore(*plain["gained"])
        self._best_epoch, self._idle, self._reductions = plain["counts"]
        self.accuracies, self.ended = list(plain["accuracies"]), plain["ended"]
        self.losses = list(plain["losses"])
        self._weights = weights
