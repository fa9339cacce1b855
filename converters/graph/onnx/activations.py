"""Readers of activations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from converters.graph.limits import add_clip, add_limit
from converters.graph.onnx.axes import OnnxValue, flatten, groups_with_last
from converters.graph.onnx.broadcast import constant_in_groups
from converters.graph.onnx.elementwise import combine, read_arithmetic, scale_and_shift
from converters.graph.onnx.onnx_node import OnnxNode
from converters.graph.onnx.reader import OnnxReader

Reader = Callable[[OnnxReader, OnnxNode], OnnxValue]

#: Number from which on a limit is none.
_UNLIMITED = 1e30


def _plain(function: str, **attributes: Any) -> Reader:
    """Reader of an activation whose parameters are fixed."""

    def read(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
        value = reader.floats(node, 0)
        ref = reader.builder.activation(node.name, value.ref, function, **attributes)
        return replace(value, ref=ref)

    return read


def _with_number(function: str, parameter: str, default: float) -> Reader:
    """Reader of an activation with the parameter `alpha`."""

    def read(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
        attributes = {parameter: node.number("alpha", default)}
        return _plain(function, **attributes)(reader, node)

    return read


def _hard_sigmoid(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    slope, offset = node.number("alpha", 0.2), node.number("beta", 0.5)
    value = reader.floats(node, 0)
    layer = reader.layer(node)
    ref = add_clip(reader.builder, layer, value.ref, 0.0, 1.0, slope, offset)
    return replace(value, ref=ref)


def _celu(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    alpha, value = node.number("alpha", 1.0), reader.floats(node, 0)
    value = scale_and_shift(reader, node, "scaled", value, 1 / alpha, 0.0)
    ref = reader.builder.activation(f"{node.name}_elu", value.ref, "elu", alpha=1.0)
    return scale_and_shift(reader, node, "", replace(value, ref=ref), alpha, 0.0)


def _selu(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    alpha = node.number("alpha", 1.6732632423543772)
    gamma = node.number("gamma", 1.0507009873554805)
    value = reader.floats(node, 0)
    ref = reader.builder.activation(f"{node.name}_elu", value.ref, "elu", alpha=alpha)
    return scale_and_shift(reader, node, "", replace(value, ref=ref), gamma, 0.0)


def _thresholded(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    plain = {"max_value": None, "slope": 0.0, "threshold": node.number("alpha", 1.0)}
    return _plain("relu_of", **plain)(reader, node)


def _gelu(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    approximate = node.text("approximate", "none") == "tanh"
    return _plain("gelu", approximate=approximate)(reader, node)


def _product(function: Reader, kind: str) -> Reader:
    """Reader of an activation that is the input times another activation of it."""

    def read(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
        value = reader.floats(node, 0)
        factor = function(reader, replace(node, name=f"{node.name}_{kind}"))
        return combine(reader, replace(node, kind="Mul"), value, factor)

    return read


def _mish(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value = reader.floats(node, 0)
    soft = reader.builder.activation(f"{node.name}_softplus", value.ref, "softplus")
    factor = reader.builder.activation(f"{node.name}_tanh", soft, "tanh")
    return combine(reader, replace(node, kind="Mul"), value, replace(value, ref=factor))


def _clip(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    if node.opset < 11:
        low, high = node.number("min", -np.inf), node.number("max", np.inf)
    else:
        limits = [reader.constant(node, place) for place in (1, 2)]
        low, high = (
            default if array is None or not array.size else float(array.reshape(()))
            for array, default in zip(limits, (-np.inf, np.inf), strict=True)
        )
    value, layer = reader.floats(node, 0), reader.layer(node)
    limited_below, limited_above = low > -_UNLIMITED, high < _UNLIMITED
    ref = value.ref
    if limited_below and limited_above and high <= low:
        raise reader.refusal(node, f"between {low:g} and {high:g}")
    if (low, high) == (0, 6):
        ref = reader.builder.activation(node.name, ref, "relu6")
    elif limited_below and limited_above:
        ref = add_clip(reader.builder, layer, ref, low, high)
    elif limited_below:
        ref = add_limit(reader.builder, layer, "maximum", ref, low)
    elif limited_above:
        ref = add_limit(reader.builder, layer, "minimum", ref, high)
    return replace(value, ref=ref)


def _softmax(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    return _over_axis(reader, node, "softmax", axis=-1)


def _log_softmax(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    return _over_axis(reader, node, "log_softmax")


def _over_axis(reader: OnnxReader, node: OnnxNode, function: str, **attributes: Any) -> OnnxValue:
    value = reader.floats(node, 0)
    axis = node.whole("axis", -1 if node.opset >= 13 else 1) % len(value.axes)
    # Before opset 13 it went over all axes from this one on.
    parts = value.axes[axis] if node.opset >= 13 else flatten(value.axes[axis:])
    groups = groups_with_last(value, parts)
    ref = reader.arrange(value, groups, f"{node.name}_in")
    ref = reader.builder.activation(node.name, ref, function, **attributes)
    return OnnxValue(ref, flatten(groups), value.axes)


def _prelu(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    value, slope = reader.floats(node, 0), reader.constant(node, 1)
    if slope is None or slope.ndim > len(value.axes):
        raise reader.refusal(node, "without slopes")
    groups = value.groups()
    alpha = constant_in_groups(slope, value.axes, groups)
    if alpha.size == 1:
        plain = {"slope": float(alpha.reshape(()))}
        ref = reader.builder.activation(node.name, value.ref, "leaky_relu", **plain)
        return replace(value, ref=ref)
    ref = reader.arrange(value, groups, f"{node.name}_in")
    layer = reader.layer(node, "", "prelu", node.input(1))
    weights = reader.builder.add_weights(layer, alpha=alpha)
    ref = reader.builder.add(node.name, "prelu", (ref,), ref.shape, weights=weights)
    return OnnxValue(ref, flatten(groups), value.axes)


def _negative(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    return scale_and_shift(reader, node, "", reader.floats(node, 0), -1.0, 0.0)


def _mean(reader: OnnxReader, node: OnnxNode) -> OnnxValue:
    total = read_arithmetic(reader, replace(node, kind="Sum", name=f"{node.name}_sum"))
    return scale_and_shift(reader, node, "", total, 1 / len(node.inputs), 0.0)


#: Op to its reader.
ACTIVATIONS: Mapping[str, Reader] = {
    "Relu": _plain("relu"),
    "Sigmoid": _plain("sigmoid"),
    "Tanh": _plain("tanh"),
    "Softplus": _plain("softplus"),
    "Softsign": _plain("softsign"),
    "Exp": _plain("exponential"),
    "Erf": _plain("erf"),
    "Sqrt": _plain("sqrt"),
    "Reciprocal": _plain("reciprocal"),
    "Log": _plain("log"),
    "Sign": _plain("sign"),
    "HardSwish": _plain("hard_swish"),
    "LeakyRelu": _with_number("leaky_relu", "slope", 0.01),
    "Elu": _with_number("elu", "alpha", 1.0),
    "Selu": _selu,
    "Celu": _celu,
    "ThresholdedRelu": _thresholded,
    "HardSigmoid": _hard_sigmoid,
    "Gelu": _gelu,
    "Swish": _product(_plain("sigmoid"), "sigmoid"),
    "Mish": _mish,
    "Clip": _clip,
    "Softmax": _softmax,
    "PRelu": _prelu,
    "Neg": _negative,
    "Abs": _plain("abs"),
    "LogSoftmax": _log_softmax,
    "Mean": _mean,
}
