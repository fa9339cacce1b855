"""Activation functions: what Keras gives as functions, names and layers, by one name each."""

from __future__ import annotations

from typing import Any

from converters.graph.builder import Sheet
from converters.graph.keras.calls import Call, Ref

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


def add_activation(sheet: Sheet, call: Call, source: Ref, activation: Any) -> Ref:
    """Add what a layer or function does to each number.

    Args:
        sheet: The graph so far.
        call: Whose activation it is.
        source: What it is done to.
        activation: A function of Keras or TensorFlow, a layer, or None.

    Raises:
        ConversionError: It is none that the graph knows.
    """
    if activation is None:
        return source
    if hasattr(activation, "get_config"):
        return _of_layer(sheet, call, source, activation)
    name = getattr(activation, "__name__", str(activation))
    if name == "hard_sigmoid":
        # Keras 2 means clip(0.2 x + 0.5), Keras 3 relu6(x + 3) / 6.
        is_keras_3 = type(call.layer).__module__.startswith("keras.")
        return sheet.activation(call, source, "hard_sigmoid" if is_keras_3 else "hard_sigmoid_5")
    if name not in _FUNCTIONS:
        raise sheet.refusal(call, f"with the activation {name}")
    function, attributes = _FUNCTIONS[name]
    return sheet.activation(call, source, function, **attributes)


def _of_layer(sheet: Sheet, call: Call, source: Ref, layer: Any) -> Ref:
    config, kind = layer.get_config(), type(layer).__name__
    if kind == "ReLU":
        most = config.get("max_value")
        slope = float(config.get("negative_slope") or 0)
        threshold = float(config.get("threshold") or 0)
        if slope == threshold == 0 and most in (None, 6):
            return sheet.activation(call, source, "relu" if most is None else "relu6")
        plain = {"max_value": most, "slope": slope, "threshold": threshold}
        return sheet.activation(call, source, "relu_of", **plain)
    if kind == "LeakyReLU":
        slope = config["alpha"] if "alpha" in config else config["negative_slope"]
        return sheet.activation(call, source, "leaky_relu", slope=float(slope))
    if kind == "ELU":
        return sheet.activation(call, source, "elu", alpha=float(config["alpha"]))
    if kind == "Softmax":
        axis = config["axis"]
        return sheet.activation(call, source, "softmax", axis=axis)
    if kind == "Activation":
        return add_activation(sheet, call, source, layer.activation)
    raise sheet.refusal(call, f"with the activation {kind}")
