"""The training loop that every lossy step uses; it changes a tf-keras model in place.

If the model ends in a softmax layer of its own, training leaves this layer out and computes the
loss from the logits. A rounded softmax would give the loss zeros: it could learn nothing from them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras

from converters.cache import CacheEntry
from converters.data.dataset import Samples
from converters.errors import ConversionError
from converters.progress import Progress, Report, ignore
from converters.recipe.step import NO_MIX
from converters.sources.inputs_outputs import Probabilities
from converters.training.batches import BatchSettings, batches
from converters.training.best_epoch import BestEpoch, score_model
from converters.training.checkpoint import (
    CollectEpochs,
    KeepEpochs,
    TrainingRecord,
    restore_training,
)
from converters.training.feature_distill import FeatureLoss
from converters.training.loss import output_losses, select_trainable
from converters.training.mixing import mixed_task
from converters.training.parallel import agreement, replicas, steps_an_epoch
from converters.training.teacher import Teacher
from converters.training.training_log import TrainingLog
from converters.training.weight_average import WeightAverage

_REPORT_EVERY = 10
#: Number of batches in the trial of a learning rate; an epoch if that is shorter.
TRIAL_BATCHES = 200


@dataclass(frozen=True)
class TrainingSettings:
    """Settings of a training."""

    epochs: int
    """Largest number of passes over the samples."""
    learning_rates: tuple[float, ...]
    """Learning rates of Adam at the beginning. If there are several, the one with the lowest loss
    on the validation samples after a short trial is used."""
    batches: BatchSettings = BatchSettings()  # noqa: RUF009 - frozen
    """Size, order and augmentation of batches."""
    probabilities: Probabilities = True
    """Whether the model's scores are probabilities, not logits."""
    cosine: bool = False
    """Whether the learning rate falls to 0 along a cosine. If not, it is constant, or falls when
    there is no more gain."""
    warmup_epochs: float = 0.0
    """Number of epochs in which the learning rate rises from 0, before the cosine."""
    weight_average: float = 0.0
    """Decay of the moving average of the weights in a step, 0-1; the model gets the average. 0 for
    no average."""
    patience: int = 0
    """Number of epochs without a gain on the validation samples before the training ends or the
    learning rate falls; 0 for never."""
    reduces: bool = False
    """Whether the learning rate falls, twice, before patience ends the training."""
    first_epoch: int = 0
    """First epoch whose weights may be kept, from 0."""
    stage: str = "train"
    """Name of the stage in the progress."""


@dataclass(frozen=True)
class History:
    """Figures of a training."""

    losses: tuple[float, ...]
    """Loss on the training samples in each epoch."""
    accuracies: tuple[float, ...]
    """Accuracy on the training samples in each epoch, 0-1; empty where the task is no
    classification or there are several outputs."""
    validation_accuracies: tuple[float, ...]
    """Accuracy on the validation samples after each epoch, 0-1; empty without validation samples,
    or where the task is no classification or there are several outputs."""
    kept_epoch: int
    """Epoch whose weights the model has now, from 0."""
    learning_rate: float
    """Learning rate at the beginning."""
    trial_losses: dict[float, float]
    """Learning rate to the validation loss after its trial; empty if there was only one rate."""
    validation_losses: tuple[float, ...] = ()
    """Loss on the validation samples after each epoch; empty without validation samples."""
    steps_an_epoch: int = 0
    """Number of steps in an epoch; in each step every device takes a batch."""
    devices: int = 1
    """Number of devices that trained together."""


@dataclass(frozen=True)
class TrainingContext:
    """Progress, checkpoint, logs and callbacks of a training."""

    report: Report = ignore
    """Function that receives the progress every few batches."""
    checkpoint: CacheEntry | None = None
    """Cache entry for a checkpoint after each epoch, to continue from after an interruption; None
    for no checkpoints."""
    logs: Path | None = None
    """Folder for TensorBoard; None for none."""
    callbacks: Sequence[Any] = ()
    """Callbacks of tf-keras, such as TFMOT's `UpdatePruningStep`."""


def fine_tune(
    model: Any,
    data: Samples,
    settings: TrainingSettings,
    teacher: Teacher | None = None,
    validation: Samples | None = None,
    context: TrainingContext = TrainingContext(),  # noqa: B008 - frozen
) -> History:
    """Continue the training of a model, in place.

    Args:
        model: Built tf-keras model. Several inputs or outputs are lists in the order of the
            samples' fields. The model may contain TFMOT's wrappers.
        data: Samples to learn from.
        settings: Settings of the training.
        teacher: Teacher to learn from in addition to the labels.
        validation: Samples that decide which epoch's weights are kept; None for the last epoch.
        context: Progress, checkpoint, logs and callbacks.

    Raises:
        ConversionError: The loss became NaN or infinite: a smaller learning rate is needed.
    """
    tf_keras.utils.set_random_seed(settings.batches.seed)
    if settings.batches.mix != NO_MIX:
        data = replace(data, task=mixed_task(data.task))
    with model.distribute_strategy.scope():
        return _train(model, data, settings, teacher, validation, context)


def _train(
    model: Any,
    data: Samples,
    settings: TrainingSettings,
    teacher: Teacher | None,
    validation: Samples | None,
    context: TrainingContext,
) -> History:
    part, from_logits = select_trainable(model, settings.probabilities, data.task)
    if teacher is not None and teacher.features is not None:
        part = teacher.features.extend_model(part)
    fit = _Fit(part, from_logits, data, settings, teacher, context)
    average = WeightAverage(settings.weight_average) if settings.weight_average else None
    best = None
    if validation is not None:
        best = BestEpoch(
            validation,
            _negate(from_logits),
            settings.patience,
            settings.reduces,
            settings.first_epoch,
            average,
        )
    record = None
    if context.checkpoint:
        record = restore_training(context.checkpoint, part, best, average)
    if record is None:
        record = TrainingRecord([], fit.trials(validation) if validation is not None else {})
        fit.set_learning_rate(record.learning_rate(settings.learning_rates))
    if not (best and best.ended):
        fit.go_on(record, best, average)
    losses = tuple(epoch["loss"] for epoch in record.epochs)
    if not np.isfinite(losses).all():
        raise ConversionError(
            f"the training diverged in epoch {len(losses)}: the loss is {losses[-1]}",
            "Use a smaller learning rate.",
        )
    if average and not best:
        average.keep(part)
    return History(
        losses,
        tuple(epoch["accuracy"] for epoch in record.epochs if "accuracy" in epoch),
        tuple(best.accuracies) if best and data.task.is_classification else (),
        best.keep() if best else len(losses) - 1,
        record.learning_rate(settings.learning_rates),
        record.trial_losses,
        tuple(best.losses) if best else (),
        fit.steps_an_epoch,
        replicas(model.distribute_strategy),
    )


def _negate(from_logits: Any) -> Probabilities:
    """Whether scores are probabilities, which is the opposite; by name for several outputs."""
    if isinstance(from_logits, dict):
        return {name: not is_logits for name, is_logits in from_logits.items()}
    return not from_logits


class _Fit:
    """A compiled model and the samples that it is fitted to."""

    def __init__(
        self,
        model: Any,
        from_logits: Any,
        data: Samples,
        settings: TrainingSettings,
        teacher: Teacher | None,
        context: TrainingContext,
    ) -> None:
        self._model, self._from_logits, self._data = model, from_logits, data
        self._settings, self._teacher, self._context = settings, teacher, context
        devices = replicas(model.distribute_strategy)
        self.steps_an_epoch = steps_an_epoch(len(data), settings.batches.size, devices)
        rate: Any = settings.learning_rates[0]
        if settings.cosine:
            warmup = round(self.steps_an_epoch * settings.warmup_epochs)
            rate = tf_keras.optimizers.schedules.CosineDecay(
                0.0 if warmup else rate,
                self.steps_an_epoch * settings.epochs - warmup,
                warmup_target=rate if warmup else None,
                warmup_steps=warmup,
            )
        losses: list[Any] = list(output_losses(from_logits, teacher, data.task))
        if teacher is not None and teacher.features is not None:
            losses = [FeatureLoss(losses[0], teacher.features)]
        loss, several = losses[0], len(losses) > 1
        metrics = [loss.accuracy] if data.task.is_classification else []
        optimizer = tf_keras.optimizers.Adam(rate)
        model.compile(optimizer=optimizer, loss=losses if several else loss, metrics=metrics)

    def set_learning_rate(self, rate: float) -> None:
        """Set the learning rate at the beginning; a cosine schedule already has its own."""
        if not self._settings.cosine:
            self._model.optimizer.learning_rate.assign(rate)

    def trials(self, validation: Samples) -> dict[float, float]:
        """Learning rate to validation loss after a short training; then the model is restored."""
        rates = self._settings.learning_rates
        if len(rates) == 1:
            return {}
        model, steps = self._model, min(TRIAL_BATCHES, self.steps_an_epoch)
        model.optimizer.build(model.trainable_variables)
        weights = model.get_weights()
        fresh = [variable.numpy() for variable in model.optimizer.variables]
        losses = {}
        for number, rate in enumerate(rates):
            self._context.report(Progress("choose the learning rate", number, len(rates)))
            model.optimizer.learning_rate.assign(rate)
            self._fit(range(1), steps, [])
            losses[rate] = score_model(model, validation, _negate(self._from_logits)).loss
            model.set_weights(weights)
            model.optimizer.set_weights(fresh)
        return losses

    def go_on(
        self, record: TrainingRecord, best: BestEpoch | None, average: WeightAverage | None
    ) -> None:
        """Train the epochs that are not complete yet."""
        context, settings = self._context, self._settings
        epochs = range(len(record.epochs), settings.epochs)
        if not epochs:
            return
        checkpoint = context.checkpoint
        callbacks = [
            *([average] if average else []),
            *([best] if best else []),
            CollectEpochs(record),
            *([KeepEpochs(checkpoint, best, average, record)] if checkpoint else []),
            *([TrainingLog(context.logs)] if context.logs else []),
            _Reporter(self.steps_an_epoch, settings, context.report),
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
                *self._context.callbacks,
                tf_keras.callbacks.TerminateOnNaN(),
                *agreement(self._model),
                *callbacks,
            ],
        )


class _Reporter(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Report the progress every few batches."""

    def __init__(self, steps: int, settings: TrainingSettings, report: Report) -> None:
        super().__init__()
        self._steps, self._settings, self._report = steps, settings, report
        self._epoch, self._detail = 0, ""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Remember the number of the epoch."""
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

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Report the accuracy on the validation samples, which `BestEpoch` has judged before."""
        accuracy = (logs or {}).get("validation_accuracy")
        if accuracy is not None:
            done, total = (epoch + 1) * self._steps, self._steps * self._settings.epochs
            self._report(Progress(self._settings.stage, done, total, self._detail, float(accuracy)))

    def on_train_end(self, logs: Any = None) -> None:  # noqa: ARG002
        """Report the end of the training, even if it ended early."""
        total = self._steps * self._settings.epochs
        self._report(Progress(self._settings.stage, total, total, self._detail))
