"""Run as a program: a classifier of digits that ends as ResNet-8 does, in a pooling of all places.

python -m tests.converters.programs.pooled_digits MODEL_KERAS DIGITS_NPZ
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
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="stem")(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    y = layers.Conv2D(16, 3, padding="same", activation="relu", name="inner")(x)
    x = layers.ReLU()(layers.Add()([x, layers.Conv2D(16, 3, padding="same", name="outer")(y)]))
    x = layers.Conv2D(24, 3, strides=2, padding="same", activation="relu", name="last")(x)
    x = layers.AveragePooling2D(4, name="pool")(x)
    outputs = layers.Dense(10, activation="softmax", name="scores")(layers.Flatten()(x))
    model = tf_keras.Model(inputs, outputs)
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(data["x_train"], data["y_train"], batch_size=32, epochs=8, verbose=0)
    model.save(sys.argv[1])


if __name__ == "__main__":
    main()
