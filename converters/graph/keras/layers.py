"""Readers of Keras layers. Keras 2 and 3 name layers, and their settings, alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from converters.graph.builder import GraphBuilder, Ref
from converters.graph.keras.activations import add_activation
from converters.graph.keras.attention import (
    read_attention,
    read_group_norm,
    read_layer_norm,
    read_rms_norm,
    read_unit_norm,
)
from converters.graph.keras.calls import Call
from converters.graph.keras.einsum import read_einsum_dense
from converters.graph.keras.one_dimension import read_in_one_dimension, read_repeat_vector
from converters.graph.keras.recurrent import read_bidirectional, read_recurrent
from converters.graph.node import CONCAT, CONV, CONV_TRANSPOSE, DENSE, DEPTHWISE, EMBEDDING

LayerReader = Callable[[GraphBuilder, Call], Ref]


def _identity(_: GraphBuilder, call: Call) -> Ref:
    return call.sources[0]


def _window(builder: GraphBuilder, call: Call) -> dict[str, Any]:
    """Strides, padding and dilation of a layer; refuses those that TFLite has no kernels for."""
    layer = call.layer
    if getattr(layer, "data_format", "channels_last") != "channels_last":
        raise builder.refusal(call.source_layer, "with its channels first")
    return {
        "strides": tuple(layer.strides),
        "padding": layer.padding,
        "dilation": tuple(getattr(layer, "dilation_rate", None) or (1,) * len(layer.strides)),
    }


def _with_bias(layer: Any, kernel: Any, channels: int) -> dict[str, Any]:
    bias = layer.bias if getattr(layer, "use_bias", True) else None
    zeros = np.zeros(channels, np.float32)
    return {"kernel": kernel, "bias": zeros if bias is None else np.asarray(bias)}


def _conv_1d(op: str) -> LayerReader:
    """Read a convolution of an image that is one pixel high: TFLite has no other."""

    def read(builder: GraphBuilder, call: Call) -> Ref:
        layer, window = call.layer, _window(builder, call)
        (source,) = call.sources
        kernel = np.asarray(layer.get_weights()[0])[None]
        for name in ("strides", "dilation"):
            window[name] = (1, *window[name])
        if op == CONV:
            window["groups"] = int(getattr(layer, "groups", 1))
        elif getattr(layer, "output_padding", None) is not None:
            raise builder.refusal(call.source_layer, "with output_padding")
        image = builder.add(f"{call.name}_as_image", "reshape", (source,), (1, *source.shape))
        image = _pad_before(builder, call, image, window, kernel.shape[1])
        channels = {CONV: kernel.shape[-1], DEPTHWISE: kernel.shape[-1] * kernel.shape[-2]}
        count = channels.get(op, kernel.shape[-2])
        weights = builder.add_weights(call.source_layer, **_with_bias(layer, kernel, count))
        answer = builder.add(call.name, op, (image,), (1, *call.shape), window, weights)
        back = builder.add(f"{call.name}_back", "reshape", (answer,), call.shape)
        return add_activation(builder, call, back, layer.activation)

    return read


def _pad_before(
    builder: GraphBuilder, call: Call, image: Ref, window: dict[str, Any], size: int
) -> Ref:
    """Pad with zeros before a sequence, where the padding is causal."""
    if window["padding"] != "causal":
        return image
    window["padding"] = "valid"
    before = (size - 1) * window["dilation"][1]
    plain = {"padding": ((0, 0), (before, 0))}
    height, length, channels = image.shape
    padded = (height, length + before, channels)
    return builder.add(f"{call.name}_padded", "zero_pad", (image,), padded, plain)


def _separable_1d(builder: GraphBuilder, call: Call) -> Ref:
    layer, window = call.layer, _window(builder, call)
    (source,) = call.sources
    depthwise, pointwise = (np.asarray(array)[None] for array in layer.get_weights()[:2])
    window["strides"], window["dilation"] = ((1, *window[n]) for n in ("strides", "dilation"))
    image = builder.add(f"{call.name}_as_image", "reshape", (source,), (1, *source.shape))
    image = _pad_before(builder, call, image, window, depthwise.shape[1])
    middle = depthwise.shape[-1] * depthwise.shape[-2]
    first = builder.add(
        f"{call.name}_depthwise",
        DEPTHWISE,
        (image,),
        (1, call.shape[0], middle),
        window,
        builder.add_weights(
            call.source_layer, "depthwise", kernel=depthwise, bias=np.zeros(middle, np.float32)
        ),
    )
    ones = (1, 1)
    plain = {"strides": ones, "padding": "valid", "dilation": ones, "groups": 1}
    weights = builder.add_weights(
        call.source_layer, **_with_bias(layer, pointwise, pointwise.shape[-1])
    )
    answer = builder.add(call.name, CONV, (first,), (1, *call.shape), plain, weights)
    back = builder.add(f"{call.name}_back", "reshape", (answer,), call.shape)
    return add_activation(builder, call, back, layer.activation)


def _conv(op: str) -> LayerReader:
    def read(builder: GraphBuilder, call: Call) -> Ref:
        layer, window = call.layer, _window(builder, call)
        kernel = np.asarray(layer.get_weights()[0])
        if op == CONV:
            window["groups"] = int(getattr(layer, "groups", 1))
        elif getattr(layer, "output_padding", None) is not None:
            raise builder.refusal(call.source_layer, "with output_padding")
        channels = kernel.shape[-1] if op == CONV else kernel.shape[-2]
        weights = builder.add_weights(call.source_layer, **_with_bias(layer, kernel, channels))
        output = builder.add(call.name, op, call.sources, call.shape, window, weights)
        return add_activation(builder, call, output, layer.activation)

    return read


def _depthwise(builder: GraphBuilder, call: Call) -> Ref:
    kernel = np.asarray(call.layer.get_weights()[0])
    arrays = _with_bias(call.layer, kernel, kernel.shape[-1] * kernel.shape[-2])
    output = builder.add(
        call.name,
        DEPTHWISE,
        call.sources,
        call.shape,
        _window(builder, call),
        builder.add_weights(call.source_layer, **arrays),
    )
    return add_activation(builder, call, output, call.layer.activation)


def _separable(builder: GraphBuilder, call: Call) -> Ref:
    layer, window = call.layer, _window(builder, call)
    depthwise, pointwise = (np.asarray(array) for array in layer.get_weights()[:2])
    middle = depthwise.shape[-1] * depthwise.shape[-2]
    first = builder.add(
        f"{call.name}_depthwise",
        DEPTHWISE,
        call.sources,
        (*call.shape[:-1], middle),
        window,
        builder.add_weights(
            call.source_layer, "depthwise", kernel=depthwise, bias=np.zeros(middle, np.float32)
        ),
    )
    ones = (1,) * len(window["strides"])
    plain = {"strides": ones, "padding": "valid", "dilation": ones, "groups": 1}
    weights = builder.add_weights(
        call.source_layer, **_with_bias(layer, pointwise, pointwise.shape[-1])
    )
    output = builder.add(call.name, CONV, (first,), call.shape, plain, weights)
    return add_activation(builder, call, output, layer.activation)


def _dense(builder: GraphBuilder, call: Call) -> Ref:
    kernel = np.asarray(call.layer.get_weights()[0])
    weights = builder.add_weights(
        call.source_layer, **_with_bias(call.layer, kernel, kernel.shape[-1])
    )
    output = builder.add(call.name, DENSE, call.sources, call.shape, weights=weights)
    return add_activation(builder, call, output, call.layer.activation)


def _embedding(builder: GraphBuilder, call: Call) -> Ref:
    if getattr(call.layer, "mask_zero", False):
        raise builder.refusal(call.source_layer, "with mask_zero")
    weights = builder.add_weights(call.source_layer, table=np.asarray(call.layer.embeddings))
    return builder.add(call.name, EMBEDDING, call.sources, call.shape, weights=weights)


def _batch_norm(builder: GraphBuilder, call: Call) -> Ref:
    layer, (source,) = call.layer, call.sources
    axis = layer.axis[0] if isinstance(layer.axis, (list, tuple)) else layer.axis
    if axis not in (-1, len(source.shape)):
        raise builder.refusal(call.source_layer, f"on axis {axis}, not on the last")
    mean, variance = np.asarray(layer.moving_mean), np.asarray(layer.moving_variance)
    gamma = 1.0 if layer.gamma is None else np.asarray(layer.gamma)
    beta = 0.0 if layer.beta is None else np.asarray(layer.beta)
    scale = gamma / np.sqrt(variance.astype(np.float64) + layer.epsilon)
    return builder.affine(call.source_layer, source, scale, beta - mean * scale)


def _normalization(builder: GraphBuilder, call: Call) -> Ref:
    layer, (source,) = call.layer, call.sources
    if getattr(layer, "invert", False):
        raise builder.refusal(call.source_layer, "with invert")
    # As the layer guards itself against a variance of 0 (backend epsilon).
    scale = 1 / np.maximum(np.sqrt(np.asarray(layer.variance, np.float64)), 1e-7)
    return builder.affine(
        call.source_layer, source, scale, -np.asarray(layer.mean, np.float64) * scale
    )


def _rescaling(builder: GraphBuilder, call: Call) -> Ref:
    return builder.affine(call.source_layer, call.sources[0], call.layer.scale, call.layer.offset)


def _activation(builder: GraphBuilder, call: Call) -> Ref:
    return add_activation(builder, call, call.sources[0], call.layer.activation)


def _activation_layer(builder: GraphBuilder, call: Call) -> Ref:
    return add_activation(builder, call, call.sources[0], call.layer)


def _prelu(builder: GraphBuilder, call: Call) -> Ref:
    alpha = np.asarray(call.layer.alpha)
    weights = builder.add_weights(call.source_layer, alpha=alpha)
    return builder.add(call.name, "prelu", call.sources, call.shape, weights=weights)


def _plain(op: str) -> LayerReader:
    """Read an op that needs nothing besides its input."""
    return lambda builder, call: builder.add(call.name, op, call.sources, call.shape)


def _elementwise(op: str) -> LayerReader:
    """Read an op of several inputs as ops of two: TFLite's take two."""

    def read(builder: GraphBuilder, call: Call) -> Ref:
        first, *others = call.sources
        for number, other in enumerate(others, start=2):
            name = call.name if number == len(call.sources) else f"{call.name}_of_{number}"
            shape = tuple(map(max, first.shape, other.shape))
            first = builder.add(name, op, (first, other), shape)
        return first

    return read


def _average(builder: GraphBuilder, call: Call) -> Ref:
    total = _elementwise("add")(builder, replace(call, name=f"{call.name}_sum"))
    return builder.affine(call.source_layer, total, 1 / len(call.sources), 0.0)


def _concat(builder: GraphBuilder, call: Call) -> Ref:
    axis = call.layer.axis % (len(call.shape) + 1)
    return builder.add(call.name, CONCAT, call.sources, call.shape, {"axis": axis})


def _pool(op: str) -> LayerReader:
    def read(builder: GraphBuilder, call: Call) -> Ref:
        window = _window(builder, call)
        size = {"pool": tuple(call.layer.pool_size)}
        plain = {**size, "strides": window["strides"], "padding": window["padding"]}
        return builder.add(call.name, op, call.sources, call.shape, plain)

    return read


def _global_pool(op: str) -> LayerReader:
    def read(builder: GraphBuilder, call: Call) -> Ref:
        if call.layer.data_format != "channels_last":
            raise builder.refusal(call.source_layer, "with its channels first")
        rank = len(call.sources[0].shape) - 1
        plain = {"keepdims": bool(call.layer.keepdims), "rank": rank}
        return builder.add(call.name, op, call.sources, call.shape, plain)

    return read


def _by_config(op: str, *names: str) -> LayerReader:
    """Read an op that takes some of the layer's settings unchanged."""

    def read(builder: GraphBuilder, call: Call) -> Ref:
        config = call.layer.get_config()
        if config.get("data_format", "channels_last") not in ("channels_last", None):
            raise builder.refusal(call.source_layer, "with its channels first")
        plain = {name: config[name] for name in names}
        return builder.add(call.name, op, call.sources, call.shape, plain)

    return read


def _resizing(builder: GraphBuilder, call: Call) -> Ref:
    config = call.layer.get_config()
    odd = [name for name in ("crop_to_aspect_ratio", "pad_to_aspect_ratio") if config.get(name)]
    if odd or config["interpolation"] not in ("bilinear", "nearest"):
        raise builder.refusal(call.source_layer, f"with {(odd or [config['interpolation']])[0]}")
    return _by_config("resize", "height", "width", "interpolation")(builder, call)


_DROPPED = (
    "Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianDropout GaussianNoise "
    "AlphaDropout ActivityRegularization Identity RandomFlip RandomRotation RandomZoom "
    "RandomTranslation RandomContrast RandomBrightness"
)

#: Readers by class of the layer. Layers that are active in training alone are dropped.
LAYER_READERS: dict[str, LayerReader] = {
    **dict.fromkeys(_DROPPED.split(), _identity),
    "Conv1D": _conv_1d(CONV),
    "Conv1DTranspose": _conv_1d(CONV_TRANSPOSE),
    "DepthwiseConv1D": _conv_1d(DEPTHWISE),
    "SeparableConv1D": _separable_1d,
    "Conv2D": _conv(CONV),
    "Conv2DTranspose": _conv(CONV_TRANSPOSE),
    "DepthwiseConv2D": _depthwise,
    "SeparableConv2D": _separable,
    "Dense": _dense,
    "EinsumDense": read_einsum_dense,
    "Embedding": _embedding,
    **dict.fromkeys(("LSTM", "GRU", "SimpleRNN", "RNN"), read_recurrent),
    "Bidirectional": read_bidirectional,
    "BatchNormalization": _batch_norm,
    "LayerNormalization": read_layer_norm,
    "GroupNormalization": read_group_norm,
    "UnitNormalization": read_unit_norm,
    "RMSNormalization": read_rms_norm,
    "MultiHeadAttention": read_attention,
    "Normalization": _normalization,
    "Rescaling": _rescaling,
    "Activation": _activation,
    **dict.fromkeys(("ReLU", "LeakyReLU", "ELU", "Softmax"), _activation_layer),
    "PReLU": _prelu,
    "Add": _elementwise("add"),
    "Subtract": _elementwise("subtract"),
    "Multiply": _elementwise("multiply"),
    "Maximum": _elementwise("maximum"),
    "Minimum": _elementwise("minimum"),
    "Average": _average,
    "Concatenate": _concat,
    **dict.fromkeys(("MaxPooling1D", "MaxPooling2D"), _pool("max_pool")),
    **dict.fromkeys(("AveragePooling1D", "AveragePooling2D"), _pool("average_pool")),
    **dict.fromkeys(
        ("GlobalAveragePooling1D", "GlobalAveragePooling2D"), _global_pool("global_average_pool")
    ),
    **dict.fromkeys(("GlobalMaxPooling1D", "GlobalMaxPooling2D"), _global_pool("global_max_pool")),
    "ZeroPadding1D": read_in_one_dimension("zero_pad", "padding", "padding"),
    "Cropping1D": read_in_one_dimension("crop", "cropping", "cropping"),
    "UpSampling1D": read_in_one_dimension("upsample", "size", "size"),
    "RepeatVector": read_repeat_vector,
    "ZeroPadding2D": _by_config("zero_pad", "padding"),
    "Cropping2D": _by_config("crop", "cropping"),
    "UpSampling2D": _by_config("upsample", "size", "interpolation"),
    "Resizing": _resizing,
    "Flatten": _plain("flatten"),
    "Reshape": _plain("reshape"),
    "Permute": _by_config("permute", "dims"),
}
