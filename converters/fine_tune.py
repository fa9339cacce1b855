"""Trains a tf-keras classifier on: the one training loop that every lossy step uses.

The model that is given is changed in place. A softmax that is a layer of its own at the end of the
model is left out of the training, whose loss then sees the logits: a rounded softmax would show the
loss zeros, from which there is nothing to learn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from converters.dataset import Samples
from converters.errors import ConversionError
from converters.progress import Progress, Report, ignore
from converters.teacher import Teacher

Array = npt.NDArray[Any]

_REPORT_EVERY = 10
_JUDGE_BATCH = 250
_SMALLEST_PROBABILITY = 1e-7


@dataclass(frozen=True)
class TrainingSettings:
    """How to train.

    Attributes:
        epochs: Passes over the samples, at most.
        learning_rate: Adam's, at the beginning.
        batch_size: Samples a step.
        seed: Decides the order of the samples and their augmentation.
        probabilities: Whether the model's scores are probabilities rather than logits.
        cosine: Whether the learning rate falls to 0 along a cosine; else it is constant.
        flip: Whether images are mirrored left to right, half of them.
        shift: Images are moved by up to so many pixels each way, the rim filled with 0.
        patience: With validation samples: epochs without a better accuracy before it ends; 0 is
            never.
        stage: What the progress calls it.
    """

    epochs: int
    learning_rate: float
    batch_size: int = 64
    seed: int = 0
    probabilities: bool = True
    cosine: bool = False
    flip: bool = False
    shift: int = 0
    patience: int = 0
    stage: str = "train"


@dataclass(frozen=True)
class History:
    """How the training went.

    Attributes:
        losses: After each epoch, of the training samples.
        accuracies: The same, 0-1.
        validation_accuracies: After each epoch, 0-1; empty without validation samples.
        kept_epoch: Whose weights the model has now, from 0.
    """

    losses: tuple[float, ...]
    accuracies: tuple[float, ...]
    validation_accuracies: tuple[float, ...]
    kept_epoch: int


def fine_tune(
    model: Any,
    data: Samples,
    settings: TrainingSettings,
    teacher: Teacher | None = None,
    on_progress: Report = ignore,
    validation: Samples | None = None,
    callbacks: Sequence[Any] = (),
) -> History:
    """Train a model on, in place.

    Args:
        model: A built tf-keras model with one input and one output (batch, outputs); it may hold
            TFMOT's wrappers.
        data: What to learn from.
        settings: How.
        teacher: Whom to learn from besides the labels.
        on_progress: Told every few batches.
        validation: If given, the weights of the epoch that did best on these are kept. Leave it
            out where an early epoch is not an answer, as while a pruning schedule runs.
        callbacks: Of tf-keras, such as TFMOT's `UpdatePruningStep`.

    Raises:
        ConversionError: The loss became NaN or infinite.
    """
    tf_keras.utils.set_random_seed(settings.seed)
    trained, from_logits = trained_part(model, settings.probabilities)
    steps = -(-len(data) // settings.batch_size)
    loss = Loss(from_logits, teacher)
    trained.compile(
        optimizer=tf_keras.optimizers.Adam(_learning_rate(settings, steps)),
        loss=loss,
        metrics=[loss.accuracy],
    )
    best = _Best(validation, settings, from_logits) if validation is not None else None
    fitted = trained.fit(
        _batches(data, settings, teacher, trained),
        epochs=settings.epochs,
        steps_per_epoch=steps,
        verbose=0,
        callbacks=[
            *callbacks,
            tf_keras.callbacks.TerminateOnNaN(),
            _Reporter(steps, settings, on_progress),
            *([best] if best else []),
        ],
    ).history
    losses = tuple(float(value) for value in fitted["loss"])
    if not np.isfinite(losses).all():
        raise ConversionError(
            f"the training diverged in epoch {len(losses)}: the loss is {losses[-1]}",
            "use a smaller learning rate",
        )
    return History(
        losses,
        tuple(float(value) for value in fitted["accuracy"]),
        tuple(best.accuracies) if best else (),
        best.keep() if best else len(losses) - 1,
    )


def trained_part(model: Any, probabilities: bool) -> tuple[Any, bool]:
    """What of a model is trained.

    Args:
        model: Of tf-keras.
        probabilities: Whether its scores are probabilities rather than logits.

    Returns:
        The model up to its logits, if it ends in a softmax or sigmoid layer of its own, else all of
        it; and whether that gives logits.
    """
    last = model.layers[-1]
    inner = getattr(last, "layer", last)  # of a wrapper
    ends = isinstance(inner, tf_keras.layers.Softmax) or (
        isinstance(inner, tf_keras.layers.Activation)
        and inner.get_config()["activation"] in ("softmax", "sigmoid")
    )
    if ends and last.output is model.output:
        return tf_keras.Model(model.inputs, last.input), True
    return model, not probabilities


def _learning_rate(settings: TrainingSettings, steps: int) -> Any:
    if not settings.cosine:
        return settings.learning_rate
    return tf_keras.optimizers.schedules.CosineDecay(
        settings.learning_rate, steps * settings.epochs
    )


class Loss(tf_keras.losses.Loss):  # type: ignore[misc]
    """Cross entropy with the labels, and with the teacher's answers.

    `y_true` is (batch, 1): the label; with a teacher (batch, 1 + classes): the label and the
    teacher's log probabilities.
    """

    def __init__(self, from_logits: bool, teacher: Teacher | None) -> None:
        super().__init__(name="loss")
        self._from_logits, self._teacher = from_logits, teacher

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Of each sample, shape (batch,)."""
        logits = self._two_or_more(y_pred)
        labels = tf.cast(y_true[:, 0], tf.int64)
        of_labels = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        if self._teacher is None:
            return of_labels
        temperature, alpha = self._teacher.temperature, self._teacher.alpha
        teacher = tf.nn.log_softmax(y_true[:, 1:] / temperature)
        student = tf.nn.log_softmax(logits / temperature)
        divergence = tf.reduce_sum(tf.exp(teacher) * (teacher - student), axis=-1)
        return (1 - alpha) * of_labels + alpha * temperature**2 * divergence

    def accuracy(self, y_true: Any, y_pred: Any) -> Any:
        """Whether each sample was classified rightly, shape (batch,)."""
        chosen = tf.argmax(self._two_or_more(y_pred), axis=-1)
        return tf.cast(tf.equal(chosen, tf.cast(y_true[:, 0], tf.int64)), tf.float32)

    def _two_or_more(self, scores: Any) -> Any:
        """Logits of every class, shape (batch, classes)."""
        if self._from_logits:
            one = scores.shape[-1] == 1
            return tf.concat([tf.zeros_like(scores), scores], -1) if one else scores
        if scores.shape[-1] == 1:
            scores = tf.concat([1 - scores, scores], -1)
        return tf.math.log(tf.clip_by_value(scores, _SMALLEST_PROBABILITY, 1.0))


def _batches(data: Samples, settings: TrainingSettings, teacher: Teacher | None, model: Any) -> Any:
    columns = 1 if teacher is None else 1 + max(2, model.output_shape[-1])
    return tf.data.Dataset.from_generator(
        lambda: _shuffled(data, settings, teacher),
        output_signature=(
            tf.TensorSpec((None, *model.input_shape[1:]), tf.float32),
            tf.TensorSpec((None, columns), tf.float32),
        ),
    ).prefetch(2)


def _shuffled(
    data: Samples, settings: TrainingSettings, teacher: Teacher | None
) -> Iterator[tuple[Array, Array]]:
    random = np.random.default_rng(settings.seed)
    for _ in range(settings.epochs):
        order = random.permutation(len(data))
        for start in range(0, len(order), settings.batch_size):
            rows = order[start : start + settings.batch_size]
            batch: Array = augmented(data.batch(rows), settings, random)
            target: Array = data.labels[rows][:, None].astype(np.float32)
            if teacher is not None:
                target = np.concatenate([target, teacher.log_probabilities(batch)], axis=1)
            yield batch, target


def augmented(batch: Array, settings: TrainingSettings, random: np.random.Generator) -> Array:
    """Images mirrored and moved at random, each in its own way; what is no image is left alone.

    Args:
        batch: Shape (n, height, width, channels), or any other.
        settings: `flip` and `shift`.
        random: Where chance comes from.
    """
    if batch.ndim != 4:
        return batch
    if settings.flip:
        mirrored = random.random(len(batch)) < 0.5
        batch = np.where(mirrored[:, None, None, None], batch[:, :, ::-1], batch)
    if settings.shift:
        far, (height, width) = settings.shift, batch.shape[1:3]
        padded = np.pad(batch, ((0, 0), (far, far), (far, far), (0, 0)))
        tops, lefts = random.integers(0, 2 * far + 1, (2, len(batch)))
        rows = tops[:, None, None] + np.arange(height)[None, :, None]
        columns = lefts[:, None, None] + np.arange(width)[None, None, :]
        batch = padded[np.arange(len(batch))[:, None, None], rows, columns]
    return batch


class _Best(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Remembers the weights that did best on samples that were not trained on."""

    def __init__(self, validation: Samples, settings: TrainingSettings, from_logits: bool) -> None:
        super().__init__()
        self._validation, self._patience = validation, settings.patience
        self._threshold = 0.0 if from_logits else 0.5
        self._weights: Any = None
        self._best = 0
        self.accuracies: list[float] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Judge the epoch; end the training if it has long not become better."""
        correct = 0
        for batch, labels in self._validation.batches(_JUDGE_BATCH):
            scores = np.asarray(self.model.predict_on_batch(batch))
            one = scores.shape[1] == 1
            chosen = scores[:, 0] > self._threshold if one else scores.argmax(axis=1)
            correct += int((chosen == labels).sum())
        self.accuracies.append(correct / len(self._validation))
        if self._weights is None or self.accuracies[-1] > self.accuracies[self._best]:
            self._best, self._weights = epoch, self.model.get_weights()
        elif self._patience and epoch - self._best >= self._patience:
            self.model.stop_training = True

    def keep(self) -> int:
        """Give the model the weights of its best epoch; which that was."""
        self.model.set_weights(self._weights)
        return self._best


class _Reporter(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Reports every few batches."""

    def __init__(self, steps: int, settings: TrainingSettings, report: Report) -> None:
        super().__init__()
        self._steps, self._settings, self._report = steps, settings, report
        self._epoch = 0

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
        detail = (
            f"epoch {self._epoch + 1}/{epochs}, loss {logs.get('loss', 0):.4f}, "
            f"accuracy {logs.get('accuracy', 0):.4f}"
        )
        self._report(Progress(self._settings.stage, done, total, detail))
