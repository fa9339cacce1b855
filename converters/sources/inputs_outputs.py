"""What goes into a model and what comes out of it, by name. NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.fields import join_fields, select_field

Array = npt.NDArray[Any]
#: Whether scores are probabilities rather than logits; of several outputs by their names.
Probabilities = bool | Mapping[str, bool]

#: Rows of probabilities add up to 1 within this; logits of random inputs do not.
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class End:
    """One input or output of a model."""

    name: str
    """That data, golden inputs and the .tflite know it by."""
    shape: tuple[int, ...]
    """Without the batch axis."""


def field_names(ends: Sequence[End]) -> tuple[str, ...]:
    """Names of several; of a single one none, as it is a plain array."""
    return tuple(end.name for end in ends) if len(ends) > 1 else ()


def noise_for(inputs: Sequence[End], count: int, low: float = 0.0, high: float = 1.0) -> Array:
    """Random samples that a model takes, always the same."""
    random = np.random.default_rng(0)
    found = {
        end.name: random.uniform(low, high, (count, *end.shape)).astype(np.float32)
        for end in inputs
    }
    return join_fields(found) if len(inputs) > 1 else found[inputs[0].name]


def gives_probabilities(
    predict: Callable[[Array], Array],
    inputs: Sequence[End],
    outputs: Sequence[End],
    keras_model: Any,
) -> Probabilities:
    """Whether the scores of classifiers are probabilities: a softmax says so for any input at all.

    Args:
        predict: As from `predictor_of`.
        inputs: Of the model.
        outputs: Of the model.
        keras_model: Whose last layers are asked about single scores; None where there is none.
    """
    answers = predict(noise_for(inputs, 8))
    layers = _last_layers(outputs, keras_model)
    if len(outputs) == 1:
        return _are_probabilities(answers, layers.get(outputs[0].name))
    return {
        end.name: _are_probabilities(answers[end.name], layers.get(end.name)) for end in outputs
    }


def sure_probabilities(
    probabilities: Probabilities, outputs: Sequence[End], keras_model: Any
) -> Probabilities:
    """The same without guesses: numbers from 0 to 1 may be a regression's as well.

    Args:
        probabilities: As from `gives_probabilities`.
        outputs: Of the model.
        keras_model: As there.
    """
    layers = _last_layers(outputs, keras_model)
    sure = {
        end.name: select_field(probabilities, end.name if len(outputs) > 1 else "")
        and (int(np.prod(end.shape)) > 1 or "activation" in _config(layers.get(end.name)))
        for end in outputs
    }
    return sure if len(outputs) > 1 else sure[outputs[0].name]


def _last_layers(outputs: Sequence[End], keras_model: Any) -> dict[str, Any]:
    """Name of each output to the layer that gives it, as far as that is known."""
    if keras_model is None:
        return {}
    if len(outputs) == 1:
        return {outputs[0].name: keras_model.layers[-1]}
    return {layer.name: layer for layer in keras_model.layers}


def _config(layer: Any) -> dict[str, Any]:
    return dict(layer.get_config()) if layer is not None else {}


def _are_probabilities(scores: Array, last: Any) -> bool:
    """Args: of one output, and the layer that gives it, if it is known."""
    if scores.ndim != 2:
        return False
    if scores.shape[1] > 1:
        sums = scores.sum(axis=1)
        return bool((scores >= 0).all() and (np.abs(sums - 1) < _SUM_TOLERANCE).all())
    config = _config(last)
    if "activation" in config:
        return "sigmoid" in str(config["activation"])
    return bool(((scores >= 0) & (scores <= 1)).all())
