"""Refusals of models that a file of 8 bits cannot hold; they name the Keras layer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from converters.errors import ConversionError
from converters.tflite.unpacked import UnpackedModel

#: Ops that compute repeatedly with a state, so that the ranges of their tensors cannot be measured.
_RECURRENT = (
    "WHILE",
    "UNIDIRECTIONAL_SEQUENCE_LSTM",
    "BIDIRECTIONAL_SEQUENCE_LSTM",
    "UNIDIRECTIONAL_SEQUENCE_RNN",
    "BIDIRECTIONAL_SEQUENCE_RNN",
)
_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


def refuse_recurrent(content: bytes, keras_model: Any, origin: str) -> None:
    """Refuse a model with a layer whose ranges cannot be measured.

    Args:
        content: Float .tflite.
        keras_model: Keras model that the file was made from, or None.
        origin: Name of the model in messages.

    Raises:
        ConversionError: The model has such a layer; the message names it.
    """
    model = UnpackedModel(content)
    loops = [op for op in model.operators if model.op(op) in _RECURRENT]
    if loops:
        raise ConversionError(
            f"{origin}: {_layer(model, loops[0], keras_model)} is recurrent: the ranges inside of "
            "it cannot be measured, so that it cannot compute in integers with fixed ranges",
            "Use the recipe ptq_dynamic, which rounds activations while the model runs.",
        )


def refuse_floats(content: bytes, keras_model: Any, origin: str) -> None:
    """Refuse a quantized file that computes in floats.

    Args:
        content: .tflite that should have only integers.
        keras_model: Keras model that the file was made from, or None.
        origin: Name of the model in messages.

    Raises:
        ConversionError: A layer computes in floats; the message names it.
    """
    model = UnpackedModel(content)
    casts = model.border_casts()
    floats = [
        op
        for op in model.operators
        if model.op(op) not in _CONVERSIONS
        and any(model.is_float(int(i)) and int(i) not in casts for i in op.outputs)
    ]
    if floats:
        raise ConversionError(
            f"{origin}: {_layer(model, floats[0], keras_model)} stays in floats, as TensorFlow's "
            "quantizer does not bring such a layer to 8 bits",
            "Use the recipe mixed_w8a8, which leaves in floats what cannot be brought to 8 bits.",
        )


def _layer(model: UnpackedModel, operator: Any, keras_model: Any) -> str:
    """Name of an operator for the user: its Keras layer, or its tensor where there is none."""
    name = model.name(int(operator.outputs[0]))
    scopes = {scope for part in name.split(";") for scope in part.split("/")}
    for layer in _layers(keras_model):
        # Keras 3 adds numbers to the names of traced layers: "norm" becomes "norm_1".
        rest = [scope.removeprefix(f"{layer.name}_") for scope in scopes]
        if layer.name in scopes or any(part.isdigit() for part in rest):
            return f"layer {layer.name!r} ({type(layer).__name__})"
    return f"operator {model.op(operator)} {name!r}"


def _layers(keras_model: Any) -> Iterable[Any]:
    """All layers of a model and of the models inside it, the longest names first."""
    flatten = getattr(keras_model, "_flatten_layers", None)
    layers = [] if flatten is None else list(flatten(include_self=False))
    return sorted(layers, key=lambda layer: len(layer.name), reverse=True)
