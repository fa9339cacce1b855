"""Run as a program in a process of its own: a residual classifier of digits, trained.

python -m tests.converters.programs.residual_digits MODEL_KERAS DIGITS_NPZ
"""

from __future__ import annotations

import os
import sys
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tf_keras

layers = tf_keras.layers


def block(x: np.ndarray, width: Any, short: Any) -> Any:
    y = layers.Conv2D(width, 3, padding="same", use_bias=False)(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(width, 3, padding="same", use_bias=False)(y))
    return layers.ReLU()(layers.Add()([short, y]))


def main() -> None:
    with np.load(sys.argv[2]) as file:
        data = dict(file)
    tf_keras.utils.set_random_seed(0)
    inputs = tf_keras.Input((8, 8, 1))
    x = layers.Conv2D(16, 3, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = block(x, 16, x)
    x = block(x, 16, x)
    x = layers.MaxPooling2D()(x)
    x = block(x, 32, layers.Conv2D(32, 1)(x))
    outputs = layers.Dense(10, activation="softmax")(layers.Flatten()(x))
    model = tf_keras.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(data["x_train"], data["y_train"], batch_size=32, epochs=5, verbose=0)
    model.save(sys.argv[1])


if __name__ == "__main__":
    main()
