"""Activation functions: what Keras gives as functions, names and layers, by one name each."""

from __future__ import annotations

from typing import Any

from converters.graph.builder import GraphBuilder, Ref
from converters.graph.keras.calls import Call
from converters.graph.limits import add_clip

#: Name of a function of either Keras to its name here and its parameters.
_FUNCTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "linear": ("linear", {}),
    "relu": ("relu", {}),
    "relu6": ("relu6", {}),
    "leaky_relu": ("leaky_relu", {"slope": 0.2}),
    "elu": ("elu", {"alpha": 1.0}),
    "selu": ("selu", {}),
    "sigmoid": ("sigmoid", {}),
    "tanh": ("tanh", {}),
    "softmax": ("softmax", {"axis": -1}),
    "silu": ("swish", {}),
    "swish": ("swish", {}),
    "gelu": ("gelu", {"approximate": False}),
    "softplus": ("softplus", {}),
    "softsign": ("softsign", {}),
    "exponential": ("exponential", {}),
    "hard_silu": ("hard_swish", {}),
    "hard_swish": ("hard_swish", {}),
}

#: Function to the end of a node's name, which messages show, where it is not the function's own.
_NAME_ENDS = {"relu_of": "relu", "hard_sigmoid_5": "hard_sigmoid"}


def add_activation(builder: GraphBuilder, call: Call, source: Ref, activation: Any) -> Ref:
    """Add the activation of a layer, or an activation that is a function.

    Args:
        builder: The graph so far.
        call: Call that has the activation.
        source: Output that the activation is applied to.
        activation: A function of Keras or TensorFlow, its name, a layer, or None.

    Raises:
        ConversionError: The graph knows no such activation; the message names the layer.
    """
    if activation is None:
        return source
    if hasattr(activation, "get_config"):
        return _from_layer(builder, call, source, activation)
    name = getattr(activation, "__name__", str(activation))
    if name == "hard_sigmoid":
        # Keras 2 means clip(0.2 x + 0.5), Keras 3 relu6(x + 3) / 6.
        is_keras_3 = type(call.layer).__module__.startswith("keras.")
        return add_clip(
            builder, call.source_layer, source, 0.0, 1.0, 1 / 6 if is_keras_3 else 0.2, 0.5
        )
    if name not in _FUNCTIONS:
        raise builder.refusal(call.source_layer, f"with the activation {name}")
    function, attributes = _FUNCTIONS[name]
    return _add(builder, call, source, function, **attributes)


def add_relu(
    builder: GraphBuilder,
    call: Call,
    source: Ref,
    most: float | None,
    slope: float,
    threshold: float,
) -> Ref:
    """Add a ReLU by its simplest name: `relu`, `relu6`, or `relu_of` with parameters.

    Args:
        builder: The graph so far.
        call: Call that has the activation.
        source: Output that the activation is applied to.
        most: Largest number that it gives, or None.
        slope: Slope below the threshold.
        threshold: Input from which on it gives its input.
    """
    if slope == threshold == 0 and most in (None, 6):
        return _add(builder, call, source, "relu" if most is None else "relu6")
    if slope == threshold == 0:
        return add_clip(builder, call.source_layer, source, 0.0, float(most or 0.0))
    if threshold == 0 and most is None:
        return _add(builder, call, source, "leaky_relu", slope=slope)
    plain = {"max_value": most, "slope": slope, "threshold": threshold}
    return _add(builder, call, source, "relu_of", **plain)


def _from_layer(builder: GraphBuilder, call: Call, source: Ref, layer: Any) -> Ref:
    config, kind = layer.get_config(), type(layer).__name__
    if kind == "ReLU":
        slope = float(config.get("negative_slope") or 0)
        threshold = float(config.get("threshold") or 0)
        return add_relu(builder, call, source, config.get("max_value"), slope, threshold)
    if kind == "LeakyReLU":
        slope = config["alpha"] if "alpha" in config else config["negative_slope"]
        return _add(builder, call, source, "leaky_relu", slope=float(slope))
    if kind == "ELU":
        return _add(builder, call, source, "elu", alpha=float(config["alpha"]))
    if kind == "Softmax":
        return _add(builder, call, source, "softmax", axis=config["axis"])
    if kind == "Activation":
        return add_activation(builder, call, source, layer.activation)
    raise builder.refusal(call.source_layer, f"with the activation {kind}")


def _add(builder: GraphBuilder, call: Call, source: Ref, function: str, **attributes: Any) -> Ref:
    """Add it under the layer's name, or under one of its own behind the layer's kernel."""
    name = call.name
    if name in builder and not call.is_function:
        name = f"{name}_{_NAME_ENDS.get(function, function)}"
    return builder.activation(name, source, function, **attributes)
