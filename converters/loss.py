"""What of a tf-keras classifier is trained, and the loss that it learns from."""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras

from converters.teacher import Teacher

_SMALLEST_PROBABILITY = 1e-7


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
