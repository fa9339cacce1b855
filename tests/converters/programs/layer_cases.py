"""Run as a program in a process of its own: writes models around single layers, of Keras 3.

python -m tests.converters.programs.layer_cases FOLDER DIGITS_NPZ
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np

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


def long_sequence(layer: Any) -> Any:
    inputs = keras.Input((8, 8, 1))
    x = layer(layers.UpSampling1D(5)(layers.Reshape((64, 1))(inputs)))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def padded(*before: Any) -> Any:
    """Max-pooling as PyTorch pads it."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(16, 3, padding="same", name="stem")(inputs)
    for layer in before:
        x = layer(x)
    x = keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    x = layers.Flatten()(layers.MaxPooling2D(3, 2)(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def attention(mask: float) -> Any:
    """Attention with a causal mask of that size, which is added; 0 for the mask of Keras."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Dense(32)(layers.Reshape((8, 8))(inputs))
    normed = layers.LayerNormalization(name="normed")(x)
    if mask:
        query, key, value = (layers.Dense(32)(normed) for _ in range(3))
        scores = keras.ops.matmul(query, keras.ops.transpose(key, (0, 2, 1))) / 5.7
        scores = scores + np.triu(np.full((8, 8), mask, np.float32), 1)
        y = keras.ops.matmul(layers.Softmax(name="scores")(scores), value)
    else:
        y = layers.MultiHeadAttention(4, 8, name="scores")(normed, normed, use_causal_mask=True)
    x = layers.Flatten()(layers.Add()([x, y]))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def bent() -> Any:
    """Activations with bounds of their own, a concatenated ReLU, and mirrored and other pads."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(8, 3, name="stem")(inputs)
    x = layers.Concatenate()([keras.ops.relu(x), keras.ops.relu(-x)])
    x = keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="symmetric")
    x = layers.ReLU(max_value=2.0)(layers.Conv2D(8, 3, padding="same")(x))
    x = keras.ops.pad(x, ((0, 0), (1, 0), (1, 0), (0, 0)), constant_values=1.0)
    x = layers.ReLU(negative_slope=0.1)(layers.Conv2D(8, 3)(layers.Resizing(10, 10)(x)))
    x = layers.Conv2D(8, 3, activation="hard_sigmoid")(x)
    x = layers.Conv2D(8, 3, activation="softplus")(keras.ops.clip(x, -1.0, 1.0))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(layers.Flatten()(x)))


def sequence() -> Any:
    """Layers of one dimension, positions that are added, and the first place of a sequence."""
    inputs = keras.Input((8, 8, 1))
    x = layers.Dense(16)(layers.Reshape((8, 8))(inputs))
    x = x + np.random.default_rng(0).normal(0, 1, (8, 16)).astype(np.float32)
    x = layers.Conv1D(16, 3, padding="causal", dilation_rate=2, activation="relu")(x)
    x = layers.SeparableConv1D(16, 3, activation="relu")(layers.ZeroPadding1D(1)(x))
    x = layers.DepthwiseConv1D(3)(layers.UpSampling1D(2)(x))
    x = layers.Conv1D(16, 3, activation="relu")(layers.Cropping1D(1)(x))
    y = layers.RepeatVector(3)(layers.UnitNormalization()(x[:, 0]))
    x = layers.Concatenate()([layers.Flatten()(x), layers.Flatten()(y)])
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def trained(model: Any, data: Any) -> Any:
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(data["x_train"], data["y_train"], epochs=6, batch_size=64, verbose=0)
    return model


def main() -> None:
    keras.utils.set_random_seed(1)
    with np.load(sys.argv[2]) as arrays:
        data = dict(arrays)
    behind = layers.Conv2D(8, 3, padding="same", activation="relu", name="behind")
    models = {
        "elu": image(layers.ELU(name="bent")),
        "layer_norm": image(layers.LayerNormalization(name="normed")),
        "two_relus": two_readers(layers.ReLU(), layers.ReLU()),
        "relu_and_tanh": two_readers(layers.ReLU(6.0), layers.Activation("tanh")),
        "permute": image(layers.Permute((2, 1, 3), name="turned"), behind),
        "conv3d": reshaped((4, 4, 4, 1), layers.Conv3D(4, 2, name="volume")),
        "long": long_sequence(layers.GRU(4, name="memory")),
    }
    models |= {
        "padded": trained(padded(), data),
        "padded_relu": trained(padded(layers.ReLU()), data),
        "mask_of_keras": trained(attention(0.0), data),
        "bent": trained(bent(), data),
        "sequence": trained(sequence(), data),
        "added_mask": trained(attention(-1e9), data),
    }
    for name, model in models.items():
        model.save(Path(sys.argv[1]) / f"{name}.keras")


if __name__ == "__main__":
    main()
