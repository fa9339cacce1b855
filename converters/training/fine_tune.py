"""Trains a tf-keras model on: the one training loop that every lossy step uses.

The model that is given is changed in place. A softmax that is a layer of its own at the end of the
model is left out of the training, whose loss then sees the logits: a rounded softmax would show the
loss zeros, from which there is nothing to learn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

from converters.cache import CacheEntry
from converters.data.dataset import Samples
from converters.errors import ConversionError
from converters.progress import Progress, Report, ignore
from converters.sources.inputs_outputs import Probabilities
from converters.training.batches import BatchSettings, batches
from converters.training.best_epoch import BestEpoch, verdict_on
from converters.training.checkpoint import CollectEpochs, Done, KeepEpochs, restore_training
from converters.training.feature_distill import FeatureLoss
from converters.training.loss import losses_of, trained_part
from converters.training.parallel import agreement, replicas, steps_an_epoch
from converters.training.teacher import Teacher
from converters.training.training_log import TrainingLog

_REPORT_EVERY = 10
#: A learning rate is tried on so many batches, or on an epoch if that is shorter.
TRIAL_BATCHES = 200


@dataclass(frozen=True)
class TrainingSettings:
    """How to train."""

    epochs: int
    """Passes over the samples, at most."""
    learning_rates: tuple[float, ...]
    """Adam's, at the beginning; of several, that which does best on the validation samples after a
    short trial."""
    batches: BatchSettings = BatchSettings()  # noqa: RUF009 - frozen
    """How samples become batches."""
    probabilities: Probabilities = True
    """Whether the model's scores are probabilities rather than logits."""
    cosine: bool = False
    """Whether the learning rate falls to 0 along a cosine; else it is constant, or falls where
    nothing is gained any more."""
    patience: int = 0
    """With validation samples: epochs that gain nothing before the training ends, or the learning
    rate falls; 0 is never."""
    reduces: bool = False
    """Whether the learning rate falls, twice, before patience ends the training."""
    first_epoch: int = 0
    """The first whose weights may be kept, from 0."""
    stage: str = "train"
    """What the progress calls it."""


@dataclass(frozen=True)
class History:
    """How the training went."""

    losses: tuple[float, ...]
    """After each epoch, of the training samples."""
    accuracies: tuple[float, ...]
    """The same, 0-1; empty where the task is no classification or there are several outputs, as the
    next."""
    validation_accuracies: tuple[float, ...]
    """After each epoch, 0-1; empty without validation samples."""
    kept_epoch: int
    """Whose weights the model has now, from 0."""
    learning_rate: float
    """At the beginning."""
    tried: dict[float, float]
    """Learning rate to the validation loss after its trial; empty if one was given."""
    validation_losses: tuple[float, ...] = ()
    """After each epoch; empty without validation samples."""
    steps_an_epoch: int = 0
    """In each of them every device takes a batch."""
    devices: int = 1
    """That trained together."""


@dataclass(frozen=True)
class Surroundings:
    """What a training has around it."""

    report: Report = ignore
    """Told every few batches."""
    checkpoint: CacheEntry | None = None
    """Where each epoch is kept, to go on from after an interruption; None for nowhere."""
    logs: Path | None = None
    """Folder for TensorBoard; None for none."""
    callbacks: Sequence[Any] = ()
    """Of tf-keras, such as TFMOT's `UpdatePruningStep`."""


def fine_tune(
    model: Any,
    data: Samples,
    settings: TrainingSettings,
    teacher: Teacher | None = None,
    validation: Samples | None = None,
    around: Surroundings = Surroundings(),  # noqa: B008 - frozen
) -> History:
    """Train a model on, in place.

    Args:
        model: A built tf-keras model, of several inputs or outputs as lists in the order of the
            samples' fields; it may hold TFMOT's wrappers.
        data: What to learn from.
        settings: How.
        teacher: Whom to learn from besides the labels.
        validation: If given, the weights of the epoch that did best on these are kept.
        around: Whom to report to, and where to keep what.

    Raises:
        ConversionError: The loss became NaN or infinite.
    """
    tf_keras.utils.set_random_seed(settings.batches.seed)
    with model.distribute_strategy.scope():
        return _trained(model, data, settings, teacher, validation, around)


def _trained(
    model: Any,
    data: Samples,
    settings: TrainingSettings,
    teacher: Teacher | None,
    validation: Samples | None,
    around: Surroundings,
) -> History:
    trained, from_logits = trained_part(model, settings.probabilities, data.task)
    if teacher is not None and teacher.features is not None:
        trained = teacher.features.beside(trained)
    fit = _Fit(trained, from_logits, data, settings, teacher, around)
    best = None
    if validation is not None:
        best = BestEpoch(
            validation,
            _turned(from_logits),
            settings.patience,
            settings.reduces,
            settings.first_epoch,
        )
    done = restore_training(around.checkpoint, trained, best) if around.checkpoint else None
    if done is None:
        done = Done([], fit.trials(validation) if validation is not None else {})
        fit.set_learning_rate(done.learning_rate(settings.learning_rates))
    if not (best and best.ended):
        fit.go_on(done, best)
    losses = tuple(epoch["loss"] for epoch in done.epochs)
    if not np.isfinite(losses).all():
        raise ConversionError(
            f"the training diverged in epoch {len(losses)}: the loss is {losses[-1]}",
            "use a smaller learning rate",
        )
    return History(
        losses,
        tuple(epoch["accuracy"] for epoch in done.epochs if "accuracy" in epoch),
        tuple(best.accuracies) if best and data.task.is_classification else (),
        best.keep() if best else len(losses) - 1,
        done.learning_rate(settings.learning_rates),
        done.tried,
        tuple(best.losses) if best else (),
        fit.steps_an_epoch,
        replicas(model.distribute_strategy),
    )


def _turned(from_logits: Any) -> Probabilities:
    """Whether what is no logits are probabilities; of several outputs by their names."""
    if isinstance(from_logits, dict):
        return {name: not one for name, one in from_logits.items()}
    return not from_logits


class _Fit:
    """A compiled model and what it is fitted to."""

    def __init__(
        self,
        model: Any,
        from_logits: Any,
        data: Samples,
        settings: TrainingSettings,
        teacher: Teacher | None,
        around: Surroundings,
    ) -> None:
        self._model, self._from_logits, self._data = model, from_logits, data
        self._settings, self._teacher, self._around = settings, teacher, around
        devices = replicas(model.distribute_strategy)
        self.steps_an_epoch = steps_an_epoch(len(data), settings.batches.size, devices)
        rate: Any = settings.learning_rates[0]
        if settings.cosine:
            rate = tf_keras.optimizers.schedules.CosineDecay(
                rate, self.steps_an_epoch * settings.epochs
            )
        losses: list[Any] = list(losses_of(from_logits, teacher, data.task))
        if teacher is not None and teacher.features is not None:
            losses = [FeatureLoss(losses[0], teacher.features)]
        loss, several = losses[0], len(losses) > 1
        metrics = [loss.accuracy] if data.task.is_classification else []
        optimizer = tf_keras.optimizers.Adam(rate)
        model.compile(optimizer=optimizer, loss=losses if several else loss, metrics=metrics)

    def set_learning_rate(self, rate: float) -> None:
        """Begin with this one; a schedule begins with what was given."""
        if not self._settings.cosine:
            self._model.optimizer.learning_rate.assign(rate)

    def trials(self, validation: Samples) -> dict[float, float]:
        """Learning rate to validation loss after a short training; the model is as it was then."""
        rates = self._settings.learning_rates
        if len(rates) == 1:
            return {}
        model, steps = self._model, min(TRIAL_BATCHES, self.steps_an_epoch)
        model.optimizer.build(model.trainable_variables)
        weights = model.get_weights()
        fresh = [variable.numpy() for variable in model.optimizer.variables]
        found = {}
        for number, rate in enumerate(rates):
            self._around.report(Progress("choose the learning rate", number, len(rates)))
            model.optimizer.learning_rate.assign(rate)
            self._fit(range(1), steps, [])
            found[rate] = verdict_on(model, validation, _turned(self._from_logits)).loss
            model.set_weights(weights)
            model.optimizer.set_weights(fresh)
        return found

    def go_on(self, done: Done, best: BestEpoch | None) -> None:
        """Train the epochs that are not done yet."""
        around, settings = self._around, self._settings
        epochs = range(len(done.epochs), settings.epochs)
        if not epochs:
            return
        callbacks = [
            *([best] if best else []),
            CollectEpochs(done),
            *([KeepEpochs(around.checkpoint, best, done)] if around.checkpoint else []),
            *([TrainingLog(around.logs)] if around.logs else []),
            _Reporter(self.steps_an_epoch, settings, around.report),
        ]
        self._fit(epochs, self.steps_an_epoch, callbacks)

    def _fit(self, epochs: range, steps: int, callbacks: list[Any]) -> None:
        data = batches(self._data, self._settings.batches, epochs, self._teacher, self._model)
        self._model.fit(
            data,
            initial_epoch=epochs.start,
            epochs=epochs.stop,
            steps_per_epoch=steps,
            verbose=0,
            callbacks=[
                *self._around.callbacks,
                tf_keras.callbacks.TerminateOnNaN(),
                *agreement(self._model),
                *callbacks,
            ],
        )


class _Reporter(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Reports every few batches."""

    def __init__(self, steps: int, settings: TrainingSettings, report: Report) -> None:
        super().__init__()
        self._steps, self._settings, self._report = steps, settings, report
        self._epoch, self._detail = 0, ""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Remember which epoch it is."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Report the loss and the accuracy so far."""
        epochs = self._settings.epochs
        done = self._epoch * self._steps + batch + 1
        total = self._steps * epochs
        if done % _REPORT_EVERY and done != total:
            return
        logs = logs or {}
        self._detail = f"epoch {self._epoch + 1}/{epochs}, loss {logs.get('loss', 0):.4f}"
        if "accuracy" in logs:
            self._detail += f", accuracy {logs['accuracy']:.4f}"
        self._report(Progress(self._settings.stage, done, total, self._detail))

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """It is done, also where it ended before its time."""
        total = self._steps * self._settings.epochs
        self._report(Progress(self._settings.stage, total, total, self._detail))
