"""Shapes that the JSON of a Keras model declares: wrong data is seen before a framework starts.

What the JSON does not say for certain is left out; the loaded model decides then.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from converters.sources.architecture import dicts_and_lists

Shape = tuple[int | None, ...]

#: Layers that keep the shape of what goes in.
_NEUTRAL = frozenset(
    {"Activation", "BatchNormalization", "Dropout", "LeakyReLU", "ReLU", "Softmax"}
)
#: Layers that give one row of numbers for each sample.
_ROWS = frozenset(
    {
        "Flatten",
        "GlobalAveragePooling1D",
        "GlobalAveragePooling2D",
        "GlobalMaxPooling1D",
        "GlobalMaxPooling2D",
    }
)
_INPUT = "InputLayer"


@dataclass(frozen=True)
class DeclaredShapes:
    """Shapes of inputs and outputs, as far as a file declares them."""

    inputs: Mapping[str, Shape] = field(default_factory=dict)
    """Name of each input to its shape with the batch axis, in order; empty where it is not
    known."""
    units: int | None = None
    """Length of the row of numbers that a single output gives; None where it is not known."""


def declared_shapes(config: Any) -> DeclaredShapes:
    """Read the shapes of a model's JSON.

    Args:
        config: JSON of the model, its tuples decoded.
    """
    try:
        layers = {layer["config"]["name"]: layer for layer in config["config"]["layers"]}
        if config["class_name"] == "Sequential":
            return _of_sequence(list(layers.values()))
        inputs = {name: _shape(layers[name]) for name in _ends(config["config"]["input_layers"])}
        if None in inputs.values():
            return DeclaredShapes()
        outputs = _ends(config["config"]["output_layers"])
        tail = _tail(layers, outputs[0]) if len(outputs) == 1 else []
        return DeclaredShapes({n: s for n, s in inputs.items() if s is not None}, _units(tail))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError):
        return DeclaredShapes()


def _of_sequence(layers: list[Any]) -> DeclaredShapes:
    shape = _shape(layers[0])
    if shape is None:
        return DeclaredShapes()
    if layers[0]["class_name"] != _INPUT:
        first = {"class_name": _INPUT, "config": {"batch_shape": list(shape)}}
        layers = [first, *layers]
    return DeclaredShapes({layers[0]["config"].get("name", "input"): shape}, _units(layers[::-1]))


def _ends(value: Any) -> list[str]:
    """Names of the layers that a functional model begins or ends with."""
    if isinstance(value, list) and value and isinstance(value[0], str):
        return [value[0]]
    entries = list(value.values()) if isinstance(value, dict) else value
    return [str(entry[0]) for entry in entries]


def _tail(layers: Mapping[str, Any], name: str) -> list[Any]:
    """Layers from the output backwards, as long as each has a single predecessor."""
    tail = [layers[name]]
    while tail[-1]["class_name"] != _INPUT and len(tail) <= len(layers):
        names = set()
        for item in dicts_and_lists(tail[-1]["inbound_nodes"]):
            if isinstance(item, dict) and "keras_history" in item:
                names.add(str(item["keras_history"][0]))
            elif isinstance(item, list) and len(item) == 4 and isinstance(item[0], str):
                names.add(item[0])
        if len(names) != 1:
            break
        tail.append(layers[names.pop()])
    return tail


def _units(backwards: Sequence[Any]) -> int | None:
    """Length of the rows of the last Dense layer; None where its output may have more axes."""
    units = None
    for layer in backwards:
        kind = layer["class_name"]
        if kind == "Dense":
            units = int(layer["config"]["units"]) if units is None else units
        elif kind in _ROWS or kind == _INPUT and len(_shape(layer) or ()) == 2:
            return units
        elif kind not in _NEUTRAL:
            return None
    return None


def _shape(layer: Any) -> Shape | None:
    config = layer["config"]
    shape = config.get("batch_shape") or config.get("batch_input_shape")
    if not isinstance(shape, list) or len(shape) < 2:
        return None
    if not all(axis is None or type(axis) is int and axis > 0 for axis in shape):
        return None
    return tuple(shape)
