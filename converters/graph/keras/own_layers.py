"""Reads a layer of the user's own as the calls that it makes."""

from __future__ import annotations

import inspect
from typing import Any

from converters.graph.builder import Ref
from converters.graph.keras.calls import Call

_OF_KERAS = ("keras", "tf_keras")


def is_own(layer: Any) -> bool:
    """Whether a layer is none of Keras' own."""
    return type(layer).__module__.split(".")[0] not in _OF_KERAS


def trace_call(call: Call) -> Any:
    """Make a model of what a layer calls inside, on inputs of the shapes that it is called with.

    The model holds the inner layers themselves, not copies, so that weights are shared.

    Args:
        call: Call of a layer, not of a function.

    Returns:
        A Keras model whose inputs are the call's sources, in their order; None where the layer does
        something that cannot be traced.
    """
    keras = _keras_of(call.layer)
    inputs: list[Any] = []

    def symbolic(value: Any) -> Any:
        if isinstance(value, Ref):
            inputs.append(keras.Input(value.shape))
            return inputs[-1]
        if isinstance(value, tuple):
            return [symbolic(inner) for inner in value]
        return value

    arguments = [symbolic(value) for value in call.args]
    keywords = {name: symbolic(value) for name, value in call.kwargs.items()}
    if "training" in inspect.signature(call.layer.call).parameters:
        keywords["training"] = False
    try:
        return keras.Model(inputs, call.layer.call(*arguments, **keywords))
    except Exception:  # noqa: BLE001 - whatever the user's code and Keras raise about it
        return None


def _keras_of(layer: Any) -> Any:
    import tf_keras

    if isinstance(layer, tf_keras.layers.Layer):
        return tf_keras
    import keras

    return keras
