"""Run as a program in a process of its own: writes models around single layers, of Keras 3.

python -m tests.converters.programs.layer_cases FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras

layers = keras.layers


def image(*inner: Any) -> Any:
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, padding="same", name="stem")(inputs)
    for layer in inner:
        x = layer(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def two_readers(*activations: Any) -> Any:
    """A convolution whose output goes through several activations, as in the cells of NASNet."""
    inputs = keras.Input((8, 8, 1))
    stem = layers.Conv2D(16, 3, use_bias=False, name="stem")(inputs)
    stem = layers.BatchNormalization()(stem)
    branches = [layers.Conv2D(16, 3, padding="same")(layer(stem)) for layer in activations]
    x = layers.Flatten()(layers.Add()(branches))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def reshaped(shape: Any, layer: Any) -> Any:
    inputs = keras.Input((8, 8, 1))
    x = layers.Flatten()(layer(layers.Reshape(shape)(inputs)))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def main() -> None:
    keras.utils.set_random_seed(1)
    behind = layers.Conv2D(8, 3, padding="same", activation="relu", name="behind")
    models = {
        "elu": image(layers.ELU(name="bent")),
        "layer_norm": image(layers.LayerNormalization(name="normed")),
        "two_relus": two_readers(layers.ReLU(), layers.ReLU()),
        "relu_and_tanh": two_readers(layers.ReLU(6.0), layers.Activation("tanh")),
        "permute": image(layers.Permute((2, 1, 3), name="turned"), behind),
        "conv3d": reshaped((4, 4, 4, 1), layers.Conv3D(4, 2, name="volume")),
        "lstm": reshaped((8, 8), layers.LSTM(8, name="memory")),
        "gru": reshaped((8, 8), layers.GRU(8, name="gated")),
    }
    for name, model in models.items():
        model.save(Path(sys.argv[1]) / f"{name}.keras")


if __name__ == "__main__":
    main()
