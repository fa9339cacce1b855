"""Preserve the zeros or shared weights of an earlier step while a later step trains.

After every batch the kernels are restored: a weight that was zero becomes zero again, and weights
of a channel that were equal get their mean. If each shared weight takes a step, their mean is the
shared value after a step by the mean gradient, as in TFMOT's cluster-preserving training. TFMOT's
own classes support only Conv2D and Dense, and none of our fake quantization. This one works with
any fake quantization, also after BatchNormalization was folded into the kernels, channel by
channel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras

from converters.draft.draft import CLUSTERS, ZEROS


def preserve_callbacks(keep: str) -> list[Any]:
    """Callbacks of a training that has to preserve zeros or shared weights.

    Args:
        keep: `ZEROS`, `CLUSTERS`, or "" for no callbacks.
    """
    return [_Preserve(keep)] if keep else []


class _Preserve(tf_keras.callbacks.Callback):  # type: ignore[misc]
    """Restore the zeros or shared weights of the kernels after every batch."""

    def __init__(self, keep: str) -> None:
        super().__init__()
        self._rule = {ZEROS: _keep_zeros, CLUSTERS: _keep_clusters}[keep]
        self._restore: Callable[[], Any] = lambda: None

    def on_train_begin(self, logs: Any = None) -> None:  # noqa: ARG002
        """Record the zeros or shared weights that the earlier step made."""
        rules = [
            self._rule(variable)
            for variable in self.model.trainable_variables
            if variable.name.endswith(("/kernel:0", "/embeddings:0")) and variable.shape.rank > 1
        ]

        def restore() -> None:
            for rule in rules:
                rule()

        self._restore = tf.function(restore)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:  # noqa: ARG002
        """Restore them."""
        self._restore()


def _keep_zeros(kernel: Any) -> Callable[[], Any]:
    mask = tf.constant((kernel.numpy() != 0).astype(np.float32))
    return lambda: kernel.assign(kernel * mask)


def _keep_clusters(kernel: Any) -> Callable[[], Any]:
    """Rule that keeps equal weights of one output channel, the last axis, equal."""
    values = kernel.numpy()
    ids = np.empty(values.shape, np.int32)
    count = 0
    for channel in range(values.shape[-1]):
        distinct, inverse = np.unique(values[..., channel], return_inverse=True)
        ids[..., channel] = count + inverse.reshape(values.shape[:-1])
        count += len(distinct)
    flat = tf.constant(ids.ravel())

    def rule() -> Any:
        means = tf.math.unsorted_segment_mean(tf.reshape(kernel, [-1]), flat, count)
        return kernel.assign(tf.reshape(tf.gather(means, flat), kernel.shape))

    return rule
