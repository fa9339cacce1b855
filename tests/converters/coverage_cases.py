"""A small model of every kind of layer and topology, for the table of docs/coverage.md.

CASES: what its row is called → function that returns a model with random weights, of the Keras that
the row names or, where it names none, of Keras 3.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tests.converters.programs import graph_cases

Make = Callable[[], Any]
TF_KERAS = ", tf-keras"


def _keras(name: str) -> Any:
    if name.endswith(TF_KERAS):
        import tf_keras

        return tf_keras
    import keras

    return keras


def _image(keras: Any, build: Callable[[Any, Any], Any]) -> Any:
    """The layer between a convolution and a head: with channels that can go, and neighbours."""
    layers, inputs = keras.layers, keras.Input((8, 8, 3))
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="stem")(inputs)
    x = build(layers, x)
    return keras.Model(inputs, graph_cases.head(keras, x))


def _sequence(keras: Any, build: Callable[[Any, Any], Any]) -> Any:
    layers, inputs = keras.layers, keras.Input((12, 4))
    x = build(layers, layers.Dense(64, activation="relu", name="stem")(inputs))
    x = layers.GlobalAveragePooling1D()(x) if len(x.shape) == 3 else x
    return keras.Model(inputs, layers.Dense(4, name="scores")(x))


def _flat(keras: Any, build: Callable[[Any, Any], Any]) -> Any:
    layers, inputs = keras.layers, keras.Input((12,))
    x = build(layers, layers.Dense(96, activation="relu", name="stem")(inputs))
    return keras.Model(inputs, layers.Dense(4, name="scores")(x))


def _volume(keras: Any, build: Callable[[Any, Any], Any]) -> Any:
    layers, inputs = keras.layers, keras.Input((4, 4, 4, 2))
    x = layers.GlobalAveragePooling3D()(build(layers, inputs))
    return keras.Model(inputs, layers.Dense(4, name="scores")(x))


def _whole(keras: Any, build: Callable[[Any], Any]) -> Any:
    return build(keras)


def _layer(kind: str, *args: Any, **how: Any) -> Callable[[Any, Any], Any]:
    return lambda layers, x: getattr(layers, kind)(*args, **how)(x)


def _activated(kind: str) -> Callable[[Any, Any], Any]:
    return lambda layers, x: layers.Conv2D(16, 3, activation=kind, name="with")(x)


def _behind(kind: str, *args: Any, **how: Any) -> Callable[[Any, Any], Any]:
    """A layer behind a convolution that has enough weights to be stored in fewer bits."""

    def build(layers: Any, x: Any) -> Any:
        x = layers.Conv2D(16, 3, padding="same", name="before")(x)
        return getattr(layers, kind)(*args, **how)(x)

    return build


def _before(*kinds: str) -> Callable[[Any, Any], Any]:
    """Layers without arguments, then a convolution."""

    def build(layers: Any, x: Any) -> Any:
        for kind in kinds:
            x = getattr(layers, kind)()(x)
        return layers.Conv2D(16, 3, name="after")(x)

    return build


def _two(kind: str) -> Callable[[Any, Any], Any]:
    """Two convolutions of one input, brought together."""

    def build(layers: Any, x: Any) -> Any:
        y = layers.Conv2D(16, 3, padding="same", name="left")(x)
        return getattr(layers, kind)()([y, layers.Conv2D(16, 1, name="right")(x)])

    return build


def _flattened(layers: Any, x: Any) -> Any:
    x = layers.Dense(16, activation="relu", name="hidden")(layers.Flatten()(x))
    return layers.Reshape((1, 1, 16))(x)


def _dense_norm(layers: Any, x: Any) -> Any:
    x = layers.Dense(16, use_bias=False, name="hidden")(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def _attention(layers: Any, x: Any) -> Any:
    return layers.Add()([x, layers.MultiHeadAttention(2, 8)(x, x)])


def _bidirectional(layers: Any, x: Any) -> Any:
    return layers.Bidirectional(layers.LSTM(8))(x)


def _softmax(layers: Any, x: Any) -> Any:
    return layers.Softmax()(layers.Dense(16, name="narrow")(x))


def _conv_norm(layers: Any, x: Any) -> Any:
    x = layers.Conv2D(16, 3, padding="same", use_bias=False, name="inner")(x)
    return layers.ReLU()(layers.BatchNormalization()(x))


def _functions(layers: Any, ops: Any, x: Any) -> Any:
    x = layers.Conv2D(16, 3, padding="same", name="stem")(x * 0.5 + 0.5)
    y = ops["relu"](x)
    z = layers.Conv2D(16, 3, padding="same", name="inner")(y)
    z = ops["concat"]([y + z, y - z, ops["maximum"](y, z) / 3.0], axis=-1)
    return layers.Conv2D(16, 1, name="after")(ops["sigmoid"](z[:, 1:-1, 2:] - 0.5))


_PLACES: dict[Callable[..., Any], dict[str, Callable[..., Any]]] = {
    _image: {
        "Conv2D": _layer("Conv2D", 16, 3, name="inner"),
        "Conv2D, padding same, strides 2": _layer("Conv2D", 16, 3, strides=2, padding="same"),
        "Conv2D, dilation 2": _layer("Conv2D", 16, 3, dilation_rate=2, name="inner"),
        "Conv2D, groups 2": _layer("Conv2D", 16, 3, groups=2, name="inner"),
        "DepthwiseConv2D": _behind("DepthwiseConv2D", 3, activation="relu", name="inner"),
        "SeparableConv2D": _behind("SeparableConv2D", 16, 3, name="inner"),
        "Conv2DTranspose": _layer("Conv2DTranspose", 16, 3, strides=2, name="inner"),
        "BatchNormalization after Conv2D": _conv_norm,
        "BatchNormalization after Conv2D, tf-keras": _conv_norm,
        "BatchNormalization before Conv2D": _before("BatchNormalization"),
        "LayerNormalization": _before("LayerNormalization"),
        "ReLU": _before("ReLU"),
        "ReLU6": _activated("relu6"),
        "LeakyReLU": _before("LeakyReLU"),
        "PReLU": _behind("PReLU", shared_axes=[1, 2]),
        "ELU": _before("ELU"),
        "sigmoid": _activated("sigmoid"),
        "tanh": _activated("tanh"),
        "hard-swish": _activated("hard_swish"),
        "swish": _activated("swish"),
        "gelu": _activated("gelu"),
        "softplus": _activated("softplus"),
        "MaxPooling2D": _before("MaxPooling2D"),
        "AveragePooling2D": _behind("AveragePooling2D", 2),
        "GlobalMaxPooling2D": _behind("GlobalMaxPooling2D", keepdims=True),
        "Flatten, Reshape": _flattened,
        "Permute": _behind("Permute", (2, 1, 3)),
        "ZeroPadding2D": _before("ZeroPadding2D"),
        "Cropping2D": _before("Cropping2D"),
        "UpSampling2D": _before("UpSampling2D"),
        "Add": _two("Add"),
        "Subtract": _two("Subtract"),
        "Maximum": _two("Maximum"),
        "Concatenate": _two("Concatenate"),
        "Dropout": _behind("Dropout", 0.3),
    },
    _sequence: {
        "Conv1D": _layer("Conv1D", 16, 3, name="inner"),
        "Conv1D, padding causal": _layer("Conv1D", 16, 3, padding="causal", name="inner"),
        "LSTM": _layer("LSTM", 8),
        "LSTM, tf-keras": _layer("LSTM", 8),
        "GRU": _layer("GRU", 8),
        "GRU, reset_after=False, tf-keras": _layer("GRU", 8, reset_after=False),
        "Bidirectional": _bidirectional,
        "SeparableConv1D": _layer("SeparableConv1D", 32, 3, name="inner"),
        "EinsumDense": _layer("EinsumDense", "abc,cd->abd", (None, 32), name="inner"),
        "GroupNormalization": _layer("GroupNormalization", 8),
        "MultiHeadAttention": _attention,
    },
    _flat: {
        "Dense": _layer("Dense", 16, activation="relu", name="hidden"),
        "BatchNormalization after Dense": _dense_norm,
        "softmax": _softmax,
    },
    _volume: {"Conv3D": _layer("Conv3D", 32, 3, activation="relu", name="inner")},
    _whole: {
        "squeeze and excite (Multiply)": graph_cases.CASES["gates"],
        "residual": graph_cases.CASES["residual"],
        "depthwise separable, as MobileNet": graph_cases.CASES["depthwise"],
        "nested model": graph_cases.CASES["nested"],
        "shared layer": graph_cases.CASES["shared"],
        "shared model": graph_cases.CASES["shared_model"],
        "functions (keras.ops.relu, x + y, x[:, 1:])": graph_cases.functional(_functions),
        "functions (tf.nn.relu, x + y, x[:, 1:]), tf-keras": graph_cases.functional(_functions),
    },
}


def _made(place: Callable[..., Any], name: str, build: Callable[..., Any]) -> Any:
    return graph_cases.shaken(place(_keras(name), build))


CASES: dict[str, Make] = {
    name: partial(_made, place, name, build)
    for place, cases in _PLACES.items()
    for name, build in cases.items()
}
