"""The part of a tf-keras model that is trained, and the loss that it learns from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
import tf_keras

from converters.data.fields import select_field
from converters.data.task import (
    CLASSIFIER,
    HUBER,
    LOGITS_CROSS_ENTROPY,
    MAE,
    MSE,
    SEGMENTATION,
    Task,
)
from converters.data.user_function import user_function
from converters.sources.inputs_outputs import Probabilities
from converters.training.teacher import SMALLEST_PROBABILITY, Teacher


def select_trainable(
    model: Any, probabilities: Probabilities, task: Task = CLASSIFIER
) -> tuple[Any, Any]:
    """Select the part of a model that is trained.

    Args:
        model: tf-keras model.
        probabilities: Whether its scores are probabilities, not logits.
        task: Task of the model.

    Returns:
        The part, and whether it gives logits; for several outputs name of each to whether. A
        classifier that ends in a softmax or sigmoid layer of its own is trained up to the logits
        before this layer, any other model as a whole. Only classifiers give logits.
    """
    if task.parts:
        return _select_outputs(model, probabilities, task)
    last = _logits_before(model, model.output)
    if task.kind == SEGMENTATION:
        if last is None:
            return model, task.loss == LOGITS_CROSS_ENTROPY
        return tf_keras.Model(model.inputs, last), True
    if not task.is_classification:
        return model, False
    if last is not None:
        return tf_keras.Model(model.inputs, last), True
    return model, not probabilities


def _select_outputs(
    model: Any, probabilities: Probabilities, task: Task
) -> tuple[Any, dict[str, bool]]:
    from_logits, outputs = {}, []
    for (name, part), output in zip(task.parts.items(), model.outputs, strict=True):
        logits = _logits_before(model, output) if part.is_classification else None
        outputs.append(output if logits is None else logits)
        gives_logits = logits is not None or not select_field(probabilities, name)
        from_logits[name] = part.is_classification and gives_logits
    return tf_keras.Model(model.inputs, outputs), from_logits


def _logits_before(model: Any, output: Any) -> Any:
    """Input of the softmax or sigmoid layer that gives an output; None without such a layer."""
    for layer in model.layers:
        inner = getattr(layer, "layer", layer)  # of a wrapper
        ends = isinstance(inner, tf_keras.layers.Softmax) or (
            isinstance(inner, tf_keras.layers.Activation)
            and inner.get_config()["activation"] in ("softmax", "sigmoid")
        )
        if ends and len(layer.inbound_nodes) == 1 and layer.output is output:
            return layer.input
    return None


def distance_function(task: Task) -> Callable[[Any, Any], Any]:
    """Make the function that measures the distance of answers from the right ones.

    Huber's distance is 0.5 d^2 up to d = 1 and d - 0.5 beyond, as in Keras.

    Args:
        task: Task of one output that is no classification.

    Returns:
        Function of the right answers and the model's answers, tensors (batch, ...), to the loss of
        each sample, float32, shape (batch,).

    Raises:
        ConversionError: The user's own function cannot be imported.
    """
    if task.kind == SEGMENTATION:
        return place_cross_entropy(task.loss == LOGITS_CROSS_ENTROPY)
    function = user_function(task.loss, task.folder)
    if function is not None:
        loss = function.load()
        return lambda right, answers: _mean_per_sample(loss(right, answers), tf.shape(answers)[0])
    distances: dict[str, Callable[[Any], Any]] = {
        MSE: tf.square,
        MAE: tf.abs,
        HUBER: lambda d: tf.where(tf.abs(d) <= 1, 0.5 * tf.square(d), tf.abs(d) - 0.5),
    }
    distance = distances[task.loss]
    return lambda right, answers: _mean_per_sample(distance(answers - right), tf.shape(answers)[0])


def place_cross_entropy(from_logits: bool) -> Callable[[Any, Any], Any]:
    """Make the function of the mean cross entropy over the places of each mask.

    Args:
        from_logits: Whether the answers are logits, not probabilities.

    Returns:
        Function of one-hot masks and answers, tensors (batch, ..., classes), to the loss of each
        sample, float32, shape (batch,). Places without any class count nowhere.
    """

    def loss(right: Any, answers: Any) -> Any:
        right = tf.cast(right, tf.float32)
        if answers.shape[-1] == 1:
            of_places = tf_keras.losses.binary_crossentropy(right, answers, from_logits)
        else:
            of_places = tf_keras.losses.categorical_crossentropy(right, answers, from_logits)
        return _mean_per_sample(of_places, tf.shape(answers)[0])

    return loss


def _mean_per_sample(loss: Any, count: Any) -> Any:
    """Mean of each sample, shape (count,); a single number counts for every sample."""
    loss = tf.cast(loss, tf.float32)
    if loss.shape.rank == 0:
        return tf.fill([count], loss)
    return tf.reduce_mean(tf.reshape(loss, [count, -1]), axis=1)


def mean_distance(task: Task, right: npt.NDArray[Any], answers: npt.NDArray[Any]) -> float:
    """Mean loss of a task that is no classification.

    Args:
        task: Task of one output.
        right: Right answers, shape (n, *outputs), or a shape of as many numbers.
        answers: Answers of the model, float32, shape (n, *outputs).
    """
    right_tensor = tf.constant(right.reshape(answers.shape), tf.float32)
    distances = distance_function(task)(right_tensor, tf.constant(answers, tf.float32))
    return task.weight * float(np.mean(distances))


class Loss(tf_keras.losses.Loss):  # type: ignore[misc]
    """Cross entropy with the labels, or distance from the right answers; also with a teacher's.

    For a classifier `y_true` is (batch, 1), the label; with a teacher (batch, 1 + classes), the
    label and the teacher's log probabilities. Soft labels add their shares behind the label, and
    each class counts by its weight. For other tasks `y_true` has the shape of the answers,
    (batch, …); with a teacher (batch, 2, …), the right answers and the teacher's answers.
    """

    def __init__(self, from_logits: bool, teacher: Teacher | None, task: Task = CLASSIFIER) -> None:
        super().__init__(name="loss")
        self._from_logits, self._teacher, self._task = from_logits, teacher, task
        self._distance = None if task.is_classification else distance_function(task)
        if task.kind == SEGMENTATION:
            self._distance = place_cross_entropy(from_logits)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Loss of each sample, shape (batch,)."""
        if self._distance is None:
            return self._cross_entropy(y_true, y_pred)
        if self._teacher is None:
            return self._task.weight * self._distance(y_true, y_pred)
        alpha = self._teacher.alpha
        of_data = self._distance(y_true[:, 0], y_pred)
        of_teacher = self._distance(y_true[:, 1], y_pred)
        return self._task.weight * ((1 - alpha) * of_data + alpha * of_teacher)

    def _cross_entropy(self, y_true: Any, y_pred: Any) -> Any:
        logits = self._two_or_more(y_pred)  # (batch, classes)
        labels = tf.cast(y_true[:, 0], tf.int64)  # (batch,)
        of_labels = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        weights = tf.constant(self._task.class_weights or 1.0, tf.float32)
        if self._task.soft_labels:
            classes = logits.shape[-1]
            shares, y_true = y_true[:, 1 : 1 + classes], y_true[:, classes:]
            of_labels = -tf.reduce_sum(weights * shares * tf.nn.log_softmax(logits), axis=-1)
        elif self._task.class_weights:
            of_labels *= tf.gather(weights, labels)
        if self._teacher is None:
            return of_labels
        temperature, alpha = self._teacher.temperature, self._teacher.alpha
        teacher = tf.nn.log_softmax(y_true[:, 1:] / temperature)
        student = tf.nn.log_softmax(logits / temperature)
        divergence = tf.reduce_sum(tf.exp(teacher) * (teacher - student), axis=-1)
        return (1 - alpha) * of_labels + alpha * temperature**2 * divergence

    def accuracy(self, y_true: Any, y_pred: Any) -> Any:
        """1 for each sample that is classified rightly, else 0: float32, shape (batch,)."""
        classes = tf.argmax(self._two_or_more(y_pred), axis=-1)
        return tf.cast(tf.equal(classes, tf.cast(y_true[:, 0], tf.int64)), tf.float32)

    def _two_or_more(self, scores: Any) -> Any:
        """Logits of every class, shape (batch, classes)."""
        if self._from_logits:
            one = scores.shape[-1] == 1
            return tf.concat([tf.zeros_like(scores), scores], -1) if one else scores
        if scores.shape[-1] == 1:
            scores = tf.concat([1 - scores, scores], -1)
        return tf.math.log(tf.clip_by_value(scores, SMALLEST_PROBABILITY, 1.0))


def output_losses(from_logits: Any, teacher: Teacher | None, task: Task) -> list[Loss]:
    """Losses of the outputs, in the model's order; training minimizes their sum.

    Args:
        from_logits: Whether the output gives logits; for several outputs name of each to whether.
        teacher: Teacher to learn from in addition to the labels.
        task: Task of the model.
    """
    return [
        Loss(select_field(from_logits, name), teacher, part)
        for name, part in (task.parts or {"": task}).items()
    ]
