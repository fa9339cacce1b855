"""Run as a program: a classifier of digits of smooth activations and wide layers, trained.

python -m tests.converters.programs.smooth_digits MODEL_KERAS DIGITS_NPZ
"""

from __future__ import annotations

import os
import sys

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tf_keras

layers = tf_keras.layers


def main() -> None:
    with np.load(sys.argv[2]) as file:
        data = dict(file)
    tf_keras.utils.set_random_seed(0)
    inputs = tf_keras.Input((8, 8, 1))
    x = layers.Conv2D(24, 3, padding="same", activation="swish", name="stem")(inputs)
    x = layers.Conv2D(32, 1, strides=2, activation="gelu", name="pointwise")(x)
    x = layers.Dense(96, activation="swish", name="wide")(layers.Flatten()(x))
    x = layers.Dense(64, activation="tanh", name="narrow")(x)
    outputs = layers.Dense(10, activation="softmax", name="scores")(x)
    model = tf_keras.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(data["x_train"], data["y_train"], batch_size=32, epochs=8, verbose=0)
    model.save(sys.argv[1])


if __name__ == "__main__":
    main()
