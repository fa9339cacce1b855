"""Layer normalization for tf-keras, in ops that TFLite has.

tf-keras computes its own LayerNormalization by the kernel of BatchNormalization, which TensorFlow's
converter takes apart into constants that are rounded wrongly.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
import tf_keras


@tf_keras.utils.register_keras_serializable(package="kedge")
class SampleNorm(tf_keras.layers.Layer):  # type: ignore[misc]
    """Normalization of each sample over its last axis, with gamma and beta (channels,)."""

    def __init__(self, epsilon: float, **settings: Any) -> None:
        super().__init__(**settings)
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        """Make the weights."""
        channels = (int(input_shape[-1]),)
        self.gamma = self.add_weight(name="gamma", shape=channels, initializer="ones")
        self.beta = self.add_weight(name="beta", shape=channels, initializer="zeros")
        super().build(input_shape)

    def call(self, inputs: Any) -> Any:
        """Normalize numbers of any shape, float32."""
        # A mean would be rounded to the steps of the inputs by its kernel for integers.
        mean = tf.reduce_sum(inputs, axis=-1, keepdims=True) / inputs.shape[-1]
        centred = inputs - mean
        variance = tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True)
        return centred * tf.math.rsqrt(variance + self.epsilon) * self.gamma + self.beta

    def get_config(self) -> dict[str, Any]:
        """Settings, for a saved model."""
        return {**super().get_config(), "epsilon": self.epsilon}
