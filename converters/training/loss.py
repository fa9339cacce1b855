"""What of a tf-keras model is trained, and the loss that it learns from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from converters.data.fields import part
from converters.data.task import CLASSIFIER, HUBER, MAE, MSE, Task
from converters.data.user_function import user_function
from converters.sources.inputs_outputs import Probabilities
from converters.training.teacher import Teacher

_SMALLEST_PROBABILITY = 1e-7


def trained_part(
    model: Any, probabilities: Probabilities, task: Task = CLASSIFIER
) -> tuple[Any, Any]:
    """What of a model is trained.

    Args:
        model: Of tf-keras.
        probabilities: Whether its scores are probabilities rather than logits.
        task: What it is for.

    Returns:
        All of a model that is no classifier, and that this gives no logits. Else the model up to
        its logits, if it ends in a softmax or sigmoid layer of its own, else all of it; and whether
        that gives logits, of several outputs for each.
    """
    if task.parts:
        return _several_trained(model, probabilities, task)
    if not task.is_classification:
        return model, False
    last = _logits_before(model, model.output)
    if last is not None:
        return tf_keras.Model(model.inputs, last), True
    return model, not probabilities


def _several_trained(
    model: Any, probabilities: Probabilities, task: Task
) -> tuple[Any, dict[str, bool]]:
    from_logits, ends = {}, []
    for (name, one), output in zip(task.parts.items(), model.outputs, strict=True):
        logits = _logits_before(model, output) if one.is_classification else None
        ends.append(output if logits is None else logits)
        gives = logits is not None or not part(probabilities, name)
        from_logits[name] = one.is_classification and gives
    return tf_keras.Model(model.inputs, ends), from_logits


def _logits_before(model: Any, output: Any) -> Any:
    """What goes into a softmax or sigmoid layer that gives an output, or None."""
    for layer in model.layers:
        inner = getattr(layer, "layer", layer)  # of a wrapper
        ends = isinstance(inner, tf_keras.layers.Softmax) or (
            isinstance(inner, tf_keras.layers.Activation)
            and inner.get_config()["activation"] in ("softmax", "sigmoid")
        )
        if ends and len(layer.inbound_nodes) == 1 and layer.output is output:
            return layer.input
    return None


def distance_of(task: Task) -> Callable[[Any, Any], Any]:
    """How far answers are from the right ones: (right, answers) to the loss of each, (batch,).

    Huber's is 0.5 d^2 up to d = 1 and d - 0.5 beyond, as in Keras.

    Raises:
        ConversionError: The user's own function cannot be imported.
    """
    found = user_function(task.loss, task.folder)
    if found is not None:
        own = found.load()
        return lambda right, answers: _of_each(own(right, answers), tf.shape(answers)[0])
    distances: dict[str, Callable[[Any], Any]] = {
        MSE: tf.square,
        MAE: tf.abs,
        HUBER: lambda d: tf.where(tf.abs(d) <= 1, 0.5 * tf.square(d), tf.abs(d) - 0.5),
    }
    distance = distances[task.loss]
    return lambda right, answers: _of_each(distance(answers - right), tf.shape(answers)[0])


def _of_each(loss: Any, count: Any) -> Any:
    """The mean of each sample; one number is that of each."""
    loss = tf.cast(loss, tf.float32)
    if loss.shape.rank == 0:
        return tf.fill([count], loss)
    return tf.reduce_mean(tf.reshape(loss, [count, -1]), axis=1)


def mean_distance(task: Task, wanted: npt.NDArray[Any], answers: npt.NDArray[Any]) -> float:
    """The loss of a task that is no classification, as a mean over samples."""
    right = tf.constant(wanted.reshape(answers.shape), tf.float32)
    apart = distance_of(task)(right, tf.constant(answers, tf.float32))
    return task.weight * float(np.mean(apart))


class Loss(tf_keras.losses.Loss):  # type: ignore[misc]
    """Cross entropy with the labels, or the distance from the right answers; and with a teacher's.

    Of a classifier `y_true` is (batch, 1): the label; with a teacher (batch, 1 + classes): the
    label and the teacher's log probabilities. Of others it has the shape of the answers; with a
    teacher (batch, 2, …): the right answers and the teacher's.
    """

    def __init__(self, from_logits: bool, teacher: Teacher | None, task: Task = CLASSIFIER) -> None:
        super().__init__(name="loss")
        self._from_logits, self._teacher, self._task = from_logits, teacher, task
        self._distance = None if task.is_classification else distance_of(task)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Of each sample, shape (batch,)."""
        if self._distance is None:
            return self._cross_entropy(y_true, y_pred)
        if self._teacher is None:
            return self._task.weight * self._distance(y_true, y_pred)
        alpha = self._teacher.alpha
        of_data = self._distance(y_true[:, 0], y_pred)
        of_teacher = self._distance(y_true[:, 1], y_pred)
        return self._task.weight * ((1 - alpha) * of_data + alpha * of_teacher)

    def _cross_entropy(self, y_true: Any, y_pred: Any) -> Any:
        logits = self._two_or_more(y_pred)
        labels = tf.cast(y_true[:, 0], tf.int64)
        of_labels = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        if self._task.class_weights:
            of_labels *= tf.gather(tf.constant(self._task.class_weights, tf.float32), labels)
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


def losses_of(from_logits: Any, teacher: Teacher | None, task: Task) -> list[Loss]:
    """The loss of each output, in the model's order; their sum is what a training lessens.

    Args:
        from_logits: Whether an output gives logits; of several outputs by their names.
        teacher: As for `Loss`.
        task: Of the model.
    """
    return [
        Loss(part(from_logits, name), teacher, one)
        for name, one in (task.parts or {"": task}).items()
    ]
