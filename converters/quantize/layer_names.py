"""Layers of a file by the names that their user gave them, and those that compute in floats."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from converters.tflite.unpacked import UnpackedModel

_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")
#: Ops of numbers to truth values, such as those of a Masking layer.
COMPARISONS = ("EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL", "NOT_EQUAL")
#: Number of layers that a note names.
_NAMED = 5


def float_layer_notes(content: bytes, keras_model: Any) -> tuple[str, ...]:
    """Name the layers of a quantized file that compute in floats, in one sentence.

    Args:
        content: Quantized .tflite.
        keras_model: Keras model that the file was made from, or None.
    """
    model = UnpackedModel(content)
    casts = {*model.border_casts(), *model.row_choosing_inputs()}
    layers = dict.fromkeys(
        describe_operator(model, op, keras_model)
        for op in model.operators
        if model.op(op) not in _CONVERSIONS
        and any(model.is_float(i) and i not in casts for i in _tensors_of(model, op))
    )
    return float_notes(list(layers)) if layers else ()


def _tensors_of(model: UnpackedModel, operator: Any) -> list[int]:
    """Return the tensors of an operator that hold numbers; a fused LSTM names empty ones.

    One that only keeps a state has no output, by which it would be named: it is left out.
    """
    if operator.outputs is None or not len(operator.outputs):
        return []
    inputs = [] if operator.inputs is None else operator.inputs
    return [int(i) for i in (*inputs, *operator.outputs) if i >= 0 and 0 not in model.shape(int(i))]


def float_notes(names: Sequence[str], kind: str = "") -> tuple[str, ...]:
    """Say in one sentence which layers of a quantized file compute in floats.

    Args:
        names: Names of the layers, at least one.
        kind: Word before the names, or "".
    """
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    verb = "computes" if len(names) == 1 else "compute"
    named = f"{kind} {', '.join(names[:_NAMED])}".strip()
    return (
        f"{named}{more} {verb} in floats, as TFLite has no integer kernel that is exact enough for "
        "such a layer; all else is in integers",
    )


def describe_operator(model: UnpackedModel, operator: Any, keras_model: Any) -> str:
    """Name an operator for the user: its Keras layer, or its tensor where there is none.

    Args:
        model: The .tflite.
        operator: One of its operators.
        keras_model: Keras model that the file was made from, or None.
    """
    name = model.name(int(operator.outputs[0]))
    layer = _layer_of(name, keras_model)
    if layer is None:
        return f"operator {model.op(operator)} {name!r}"
    return f"layer {layer.name!r} ({type(layer).__name__})"


def group_operators(model: UnpackedModel, keras_model: Any) -> dict[str, tuple[str, ...]]:
    """Bring the operators of an unrolled recurrent layer together; all others stand alone.

    Args:
        model: Float .tflite.
        keras_model: Keras model that the file was made from, or None.

    Returns:
        Name of each output tensor, or of each recurrent layer, to the names of its output tensors.
    """
    groups: dict[str, tuple[str, ...]] = {}
    for operator in model.operators:
        name = model.name(int(operator.outputs[0])) if len(operator.outputs) else ""
        layer = _layer_of(name, keras_model)
        is_recurrent = layer is not None and hasattr(layer, "state_size")
        key = layer.name if is_recurrent else name
        groups[key] = (*groups.get(key, ()), name)
    return groups


def _layer_of(name: str, keras_model: Any) -> Any:
    """Return the Keras layer that computes a tensor of a name, or None."""
    scopes = {scope for part in name.split(";") for scope in part.split("/")}
    for layer in _layers(keras_model):
        # Keras 3 adds a number to the name of each traced layer: "norm" becomes "norm_1".
        numbered = any(scope.removeprefix(f"{layer.name}_").isdigit() for scope in scopes)
        is_keras_3 = type(layer).__module__.startswith("keras.")
        if numbered if is_keras_3 else layer.name in scopes:
            return layer
    for layer in _layers(keras_model):
        if layer.name in scopes:
            return layer
    return None


def _layers(keras_model: Any) -> Iterable[Any]:
    """All layers of a model and of the models inside it, the longest names first."""
    flatten = getattr(keras_model, "_flatten_layers", None)
    layers = [] if flatten is None else list(flatten(include_self=False))
    return sorted(layers, key=lambda layer: len(layer.name), reverse=True)
