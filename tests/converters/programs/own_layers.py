"""Layers of a user's own, as a user writes them: named by `custom_objects` in a recipe."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tf_keras import layers


class Block(layers.Layer):
    """Layers of Keras in a layer."""

    def __init__(self, filters: Any = 4, **settings: Any) -> None:
        super().__init__(**settings)
        self.filters = filters
        self.conv = layers.Conv2D(filters, 3, padding="same")
        self.norm = layers.BatchNormalization()
        self.shortcut = layers.Conv2D(filters, 1)

    def call(self, x: np.ndarray, training: Any = None) -> Any:
        return tf.nn.relu(self.norm(self.conv(x), training=training) + self.shortcut(x))

    def get_config(self) -> Any:
        return {**super().get_config(), "filters": self.filters}


class Scale(layers.Layer):
    """A weight of its own."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight("scale", (shape[-1],), initializer="random_normal")

    def call(self, x: np.ndarray) -> Any:
        return x * (1.0 + self.scale)


class Sorted(layers.Layer):
    """What no kernel of kedge's graph does."""

    def call(self, x: np.ndarray) -> Any:
        return x - tf.reduce_mean(tf.sort(x, axis=-1)[..., :2], axis=-1, keepdims=True)


def objects() -> Any:
    """What a recipe names."""
    return {"Block": Block, "Scale": Scale, "Sorted": Sorted}


def nothing() -> Any:
    """A function that forgot something."""
    return 3


def model(*own: Any) -> Any:
    """Three classes of pictures."""
    x = taken = layers.Input((8, 8, 1))
    for layer in own:
        x = layer(x)
    x = layers.GlobalAveragePooling2D()(x)
    return tf_keras.Model(taken, layers.Dense(3, "softmax")(x))
