"""Rules of operators that are activations."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.graph.limits import add_clip
from converters.graph.tflite.operator import FileOperator, Rule
from converters.graph.tflite.value import Value


def _function(name: str, **attributes: Any) -> Rule:
    def read(operator: FileOperator) -> Value:
        value = operator.floats(0)
        answer = operator.builder.activation(operator.name, value.ref, name, **attributes)
        return Value(answer, value.shape)

    return read


def _clip(low: float, high: float) -> Rule:
    def read(operator: FileOperator) -> Value:
        value = operator.floats(0)
        answer = add_clip(operator.builder, operator.layer(), value.ref, low, high)
        return Value(answer, value.shape)

    return read


def _leaky_relu(operator: FileOperator) -> Value:
    return _only(_function("leaky_relu", slope=float(operator.options.alpha))(operator))


def _gelu(operator: FileOperator) -> Value:
    return _only(_function("gelu", approximate=bool(operator.options.approximate))(operator))


def _only(answer: Value | tuple[Value, ...]) -> Value:
    assert isinstance(answer, Value)
    return answer


def _softmax(operator: FileOperator) -> Value:
    value, beta = operator.floats(0), float(operator.options.beta)
    ref = value.ref
    if beta != 1:
        ref = operator.builder.affine(operator.layer("beta"), ref, beta, 0.0)
    answer = operator.builder.activation(operator.name, ref, "softmax", axis=-1)
    return Value(answer, value.shape)


def _prelu(operator: FileOperator) -> Value:
    value, alpha = operator.floats(0), operator.constant(1)
    rank = len(value.ref.shape)
    if alpha.ndim > rank:
        alpha = alpha.reshape(alpha.shape[alpha.ndim - rank :])
    alpha = alpha.reshape((1,) * (rank - alpha.ndim) + alpha.shape)
    if np.broadcast_shapes(alpha.shape, value.ref.shape) != value.ref.shape:
        raise ValueError(f"slopes of the shape {alpha.shape} for {value.shape}")
    weights = operator.builder.add_weights(operator.layer(), alpha=alpha)
    answer = operator.add("prelu", (value.ref,), value.ref.shape, weights=weights)
    return Value(answer, value.shape)


def _unit_norm(operator: FileOperator) -> Value:
    value = operator.floats(0)
    answer = operator.add("unit_norm", (value.ref,), value.ref.shape)
    return operator.finish(answer, value.shape)


#: Rules of operators that are activations.
ACTIVATION_RULES: dict[str, Rule] = {
    "RELU": _function("relu"),
    "RELU6": _function("relu6"),
    "RELU_N1_TO_1": _clip(-1.0, 1.0),
    "RELU_0_TO_1": _clip(0.0, 1.0),
    "LOGISTIC": _function("sigmoid"),
    "TANH": _function("tanh"),
    "HARD_SWISH": _function("hard_swish"),
    "ELU": _function("elu", alpha=1.0),
    "EXP": _function("exponential"),
    "ABS": _function("abs"),
    "SQUARE": _function("square"),
    "SQRT": _function("sqrt"),
    "RSQRT": _function("rsqrt"),
    "LOG": _function("log"),
    "SIGN": _function("sign"),
    "LOG_SOFTMAX": _function("log_softmax"),
    "LEAKY_RELU": _leaky_relu,
    "GELU": _gelu,
    "SOFTMAX": _softmax,
    "PRELU": _prelu,
    "L2_NORMALIZATION": _unit_norm,
}
