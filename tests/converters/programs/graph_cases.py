"""Small models of every topology, in either Keras, for input (8, 8, 3) and four classes.

CASES: name → function of the Keras module that returns an untrained model. `tf_keras` functions are
written with TensorFlow's ops, those of Keras 3 with `keras.ops`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def names_of(keras: Any) -> Any:
    """The layers, and the functions that both Keras have, each by one name."""
    if keras.__version__.startswith("2."):
        import tensorflow as tf

        ops = dict(
            relu=tf.nn.relu, relu6=tf.nn.relu6, sigmoid=tf.sigmoid, concat=tf.concat,
            reshape=tf.reshape, softmax=tf.nn.softmax, maximum=tf.maximum,
            mean=lambda x, axes: tf.reduce_mean(x, axis=axes),
        )  # fmt: skip
    else:
        ops = dict(
            relu=keras.ops.relu, relu6=keras.ops.relu6, sigmoid=keras.ops.sigmoid,
            concat=keras.ops.concatenate, reshape=keras.ops.reshape, softmax=keras.ops.softmax,
            maximum=keras.ops.maximum, mean=lambda x, axes: keras.ops.mean(x, axis=axes),
        )  # fmt: skip
    return keras.layers, ops


def head(keras: Any, x: np.ndarray, **last: Any) -> Any:
    layers = keras.layers
    return layers.Dense(4, name="scores", **last)(layers.GlobalAveragePooling2D()(x))


def functional(build: Callable[..., Any]) -> Callable[..., Any]:
    """A case out of a function (layers, ops, inputs) → features."""

    def make(keras: Any) -> Any:
        inputs = keras.Input((8, 8, 3))
        return keras.Model(inputs, head(keras, build(*names_of(keras), inputs)))

    return make


def sequential(keras: Any) -> Any:
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(16, 3, padding="same", use_bias=False, name="first"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Dropout(0.5),
            layers.Conv2D(24, 3, activation="relu", name="second"),
            layers.Flatten(),
            layers.Dense(16, activation="relu", name="hidden"),
            layers.Dense(4, activation="softmax", name="scores"),
        ]
    )


def residual(layers: Any, ops: Any, x: np.ndarray) -> Any:
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="stem")(x)
    y = layers.Conv2D(16, 3, padding="same", use_bias=False, name="inner")(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", name="outer")(y))
    x = layers.ReLU()(layers.Add()([x, y]))
    y = layers.Conv2D(32, 3, strides=2, padding="same", name="down")(x)
    short = layers.Conv2D(32, 1, strides=2, name="short")(x)
    return layers.Activation("relu")(layers.Add()([short, y]))


def concat(layers: Any, ops: Any, x: np.ndarray) -> Any:
    a = layers.Conv2D(16, 3, padding="same", activation="relu", name="left")(x)
    b = layers.Conv2D(24, 1, activation="relu", name="right")(x)
    joined = layers.Concatenate()([a, b])
    y = layers.Conv2D(16, 3, activation="relu", name="after")(joined)
    return layers.Concatenate()([y, layers.Cropping2D(1)(joined)])


def depthwise(layers: Any, ops: Any, x: np.ndarray) -> Any:
    x = layers.Conv2D(16, 3, strides=2, padding="same", use_bias=False, name="stem")(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.DepthwiseConv2D(
        3, padding="same", depth_multiplier=2, use_bias=False, name="spread"
    )(x)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    x = layers.Conv2D(24, 1, use_bias=False, name="mix")(x)
    return layers.ReLU(6.0)(layers.BatchNormalization()(x))


def gates(layers: Any, ops: Any, x: np.ndarray) -> Any:
    """Squeeze and excite."""
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="stem")(x)
    g = layers.GlobalAveragePooling2D()(x)
    g = layers.Reshape((1, 1, 16))(g)
    g = layers.Conv2D(8, 1, activation="relu", name="squeeze")(g)
    g = layers.Conv2D(16, 1, activation="sigmoid", name="excite")(g)
    return layers.Conv2D(16, 3, activation="relu", name="after")(layers.Multiply()([x, g]))


def dense_gates(layers: Any, ops: Any, x: np.ndarray) -> Any:
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="stem")(x)
    g = layers.GlobalAveragePooling2D(keepdims=True)(x)
    g = layers.Dense(8, activation="relu", name="squeeze")(g)
    g = layers.Dense(16, activation="sigmoid", name="excite")(g)
    return layers.Conv2D(16, 3, activation="relu", name="after")(layers.Multiply()([g, x]))


def separable(layers: Any, ops: Any, x: np.ndarray) -> Any:
    x = layers.SeparableConv2D(16, 3, activation="relu", name="apart")(x)
    return layers.BatchNormalization()(layers.SeparableConv2D(24, 3, name="again")(x))


def late_norm(layers: Any, ops: Any, x: np.ndarray) -> Any:
    x = layers.Conv2D(16, 3, activation="relu", name="stem")(x)
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="padded")(x)
    x = layers.BatchNormalization()(x)
    return layers.Conv2D(16, 3, activation="relu", name="unpadded")(x)


def early_norm(layers: Any, ops: Any, x: np.ndarray) -> Any:
    """As in ResNetV2 and DenseNet."""
    x = layers.Rescaling(2.0, offset=-1.0)(x)
    x = layers.BatchNormalization()(x)
    x = layers.Conv2D(16, 3, padding="same", name="stem")(x)
    y = layers.ReLU()(layers.BatchNormalization()(x))
    y = layers.Conv2D(16, 3, padding="same", name="inner")(y)
    return layers.BatchNormalization()(layers.Add()([x, y]))


def functions(layers: Any, ops: Any, x: np.ndarray) -> Any:
    x = layers.Conv2D(16, 3, padding="same", name="stem")(x * 2.0 - 1.0)
    y = ops["relu"](x)
    z = layers.Conv2D(16, 3, padding="same", name="inner")(y)
    z = ops["concat"]([y + z, y * z, ops["maximum"](y, z) / 3.0], axis=-1)
    z = z[:, 1:-1, 2:] - 0.5
    return layers.Conv2D(16, 1, name="after")(1.0 - ops["relu6"](z))


def hard_swish(layers: Any, ops: Any, x: np.ndarray) -> Any:
    """As MobileNetV3 in Keras writes it."""
    x = layers.BatchNormalization()(layers.Conv2D(16, 3, padding="same", name="stem")(x))
    x = layers.Multiply()([x, layers.ReLU(6.0)(x + 3.0) * (1.0 / 6.0)])
    return layers.Conv2D(16, 3, name="after")(x)


def resampled(layers: Any, ops: Any, x: np.ndarray) -> Any:
    x = layers.ZeroPadding2D(((0, 1), (2, 1)))(x)
    x = layers.Conv2D(16, 3, strides=2, activation="relu", name="stem")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.AveragePooling2D(3, 2, padding="same")(x)
    return layers.Conv2DTranspose(16, 3, strides=2, activation="relu", name="grow")(x)


def activations(layers: Any, ops: Any, x: np.ndarray) -> Any:
    for kind in ("swish", "elu", "tanh", "gelu", "softplus", "hard_sigmoid", "leaky_relu"):
        x = layers.Conv2D(8, 1, activation=kind, name=f"with_{kind}")(x)
    return layers.PReLU(shared_axes=[1, 2])(layers.LeakyReLU(0.1)(x))


def normed_dense(keras: Any) -> Any:
    layers, ops = names_of(keras)
    inputs = keras.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, strides=2, activation="relu", name="stem")(inputs)
    x = layers.BatchNormalization()(x)
    x = layers.Dense(16, use_bias=False, name="hidden")(layers.Flatten()(x))
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.Dense(8, activation="relu", name="narrow")(x)
    x = layers.ReLU()(layers.BatchNormalization(name="kept")(x))
    return keras.Model(inputs, ops["softmax"](layers.Dense(4, name="scores")(x)))


def pooled_by_function(keras: Any) -> Any:
    layers, ops = names_of(keras)
    inputs = keras.Input((8, 8, 3))
    x = ops["mean"](layers.Conv2D(16, 3, name="stem")(inputs), (1, 2))
    x = layers.Dense(16, activation="relu", name="hidden")(x)
    return keras.Model(inputs, layers.Dense(1, activation="sigmoid", name="score")(x))


def nested(keras: Any) -> Any:
    layers = keras.layers
    inner_in = keras.Input((8, 8, 3))
    inner = layers.Conv2D(16, 3, padding="same", use_bias=False, name="conv")(inner_in)
    inner = layers.ReLU()(layers.BatchNormalization()(inner))
    backbone = keras.Model(inner_in, inner, name="backbone")
    neck = keras.Sequential([layers.Conv2D(24, 3, name="conv"), layers.ReLU()], name="neck")
    inputs = keras.Input((8, 8, 3))
    x = neck(backbone(layers.Rescaling(1 / 4)(inputs)))
    return keras.Model(inputs, head(keras, x, activation="softmax"))


def shared(layers: Any, ops: Any, x: np.ndarray) -> Any:
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="stem")(x)
    twice = layers.Conv2D(16, 3, padding="same", name="twice")
    norm = layers.BatchNormalization(name="norm")
    return norm(twice(layers.ReLU()(norm(twice(x)))))


def shared_model(keras: Any) -> Any:
    """One backbone, called twice."""
    layers = keras.layers
    spine = keras.Sequential(
        [keras.Input((8, 4, 3)), layers.Conv2D(8, 3, name="c"), layers.BatchNormalization()],
        name="spine",
    )
    inputs = keras.Input((8, 8, 3))
    both = layers.Concatenate()([spine(inputs[:, :, :4]), spine(inputs[..., 4:, :])])
    return keras.Model(inputs, head(keras, both))


def one_dimension(keras: Any) -> Any:
    layers = keras.layers
    inputs = keras.Input((8, 8, 3))
    x = layers.Reshape((16, 12))(inputs)
    x = layers.Conv1D(16, 3, use_bias=False, name="stem")(x)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.BatchNormalization()(layers.MaxPooling1D(2)(x))
    x = layers.GlobalAveragePooling1D()(layers.Conv1D(16, 3, padding="same", name="next")(x))
    return keras.Model(inputs, layers.Dense(4, name="scores")(x))


CASES = {
    "sequential": sequential,
    "residual": functional(residual),
    "concat": functional(concat),
    "depthwise": functional(depthwise),
    "gates": functional(gates),
    "dense_gates": functional(dense_gates),
    "separable": functional(separable),
    "late_norm": functional(late_norm),
    "early_norm": functional(early_norm),
    "functions": functional(functions),
    "hard_swish": functional(hard_swish),
    "resampled": functional(resampled),
    "activations": functional(activations),
    "normed_dense": normed_dense,
    "pooled_by_function": pooled_by_function,
    "nested": nested,
    "shared": functional(shared),
    "shared_model": shared_model,
    "one_dimension": one_dimension,
}


def shaken(model: Any, seed: int = 0) -> Any:
    """The model with random weights, as if trained: statistics of BatchNormalization too."""
    random = np.random.default_rng(seed)
    for weight in model.weights:
        name = getattr(weight, "path", weight.name)
        spread = random.normal(0, 0.3, tuple(weight.shape))
        if "variance" in name or "gamma" in name:
            weight.assign(np.exp(spread))
        elif "kernel" in name:
            fan_in = np.prod(weight.shape[:-1]) if "depthwise" not in name else 9
            weight.assign(spread * 4 / np.sqrt(fan_in))
        else:
            weight.assign(spread)
    return model


def inputs_of(data: Any) -> Any:
    """Random images, and real ones brought to three channels: float32, (n, 8, 8, 3)."""
    random = np.random.default_rng(1).normal(0, 1, (16, 8, 8, 3))
    real = np.repeat(data["x_test"][:16] / 16, 3, axis=-1)
    return np.concatenate([random, real]).astype(np.float32)
