"""Keeps what an earlier step made of the weights while a later one trains them on.

After every batch the kernels are brought back: a weight that was zero is zero again, weights of a
channel that were equal get their mean. The mean of the shared weights after a step of each is the
shared value after a step by the mean gradient, as TFMOT's cluster-preserving training does it; its
own schemes know Conv2D and Dense only and none of ours, and this works with any fake quantization,
also after BatchNormalization was folded into the kernels, channel by channel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from converters.draft.draft import CLUSTERS, ZEROS


def preserving(keep: str) -> list[Any]:
    """The callbacks of a training that has to keep something; none if it has not.

    Args:
        keep: As in `converters.draft.draft.Draft`.
    """
    return [_Preserve(keep)] if keep else []


class _Preserve(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Brings the kernels back after every batch."""

    def __init__(self, keep: str) -> None:
        super().__init__()
        self._rule = {ZEROS: _keep_zeros, CLUSTERS: _keep_clusters}[keep]
        self._restore: Callable[[], Any] = lambda: None

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Look at the kernels as the earlier step left them."""
        rules = [
            self._rule(variable)
            for variable in self.model.trainable_variables
            if variable.name.endswith("/kernel:0") and variable.shape.rank > 1
        ]

        def restore() -> None:
            for rule in rules:
                rule()

        self._restore = tf.function(restore)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Bring them back."""
        self._restore()


def _keep_zeros(kernel: Any) -> Callable[[], Any]:
    mask = tf.constant((kernel.numpy() != 0).astype(np.float32))
    return lambda: kernel.assign(kernel * mask)


def _keep_clusters(kernel: Any) -> Callable[[], Any]:
    """Weights of one output channel, the last axis, that were equal stay equal."""
    values = kernel.numpy()
    ids = np.empty(values.shape, np.int32)
    count = 0
    for channel in range(values.shape[-1]):
        found, inverse = np.unique(values[..., channel], return_inverse=True)
        ids[..., channel] = count + inverse.reshape(values.shape[:-1])
        count += len(found)
    flat = tf.constant(ids.ravel())

    def rule() -> Any:
        means = tf.math.unsorted_segment_mean(tf.reshape(kernel, [-1]), flat, count)
        return kernel.assign(tf.reshape(tf.gather(means, flat), kernel.shape))

    return rule
