"""Inputs and outputs of a model, and whether its outputs are probabilities. NumPy only."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.fields import join_fields, select_field
from converters.graph.keras.model import KerasModel

Array = npt.NDArray[Any]
#: Whether scores are probabilities rather than logits; of several outputs by their names.
Probabilities = bool | Mapping[str, bool]

#: Rows of probabilities add up to 1 within this; logits of random inputs do not.
_SUM_TOLERANCE = 1e-3


@dataclass(frozen=True)
class ModelTensor:
    """One input or output of a model."""

    name: str
    """Name in the data, in the golden inputs and in the .tflite."""
    shape: tuple[int, ...]
    """Shape without the batch axis."""
    dtype: str = "float32"
    """Type of the numbers: "float32", or the type of an input of whole numbers."""
    source_axes: tuple[int, ...] = ()
    """Axes of the source's own tensor, without the batch axis, in the order of `shape`: (1, 2, 0)
    for channels first in the source. Empty where both have one order."""

    @property
    def source_shape(self) -> tuple[int, ...]:
        """Shape of the source's own tensor, without the batch axis: that of the user's data."""
        if not self.source_axes:
            return self.shape
        places = sorted(range(len(self.shape)), key=self.source_axes.__getitem__)
        return tuple(self.shape[place] for place in places)

    @property
    def is_whole(self) -> bool:
        """Whether it takes whole numbers, such as the numbers of words."""
        return self.dtype != "float32"


def field_names(tensors: Sequence[ModelTensor]) -> tuple[str, ...]:
    """Names of the fields of an array: none where there is a single tensor, a plain array."""
    return tuple(tensor.name for tensor in tensors) if len(tensors) > 1 else ()


def input_dtypes(inputs: Sequence[ModelTensor]) -> dict[str, str]:
    """Name of each input of whole numbers, "" for a single input, to its type."""
    several = len(inputs) > 1
    return {tensor.name if several else "": tensor.dtype for tensor in inputs if tensor.is_whole}


def source_axes(tensors: Sequence[ModelTensor]) -> dict[str, tuple[int, ...]]:
    """Name of each tensor whose source has another order of axes, "" for a single one, to them."""
    several = len(tensors) > 1
    return {t.name if several else "": t.source_axes for t in tensors if t.source_axes}


def noise_for(
    inputs: Sequence[ModelTensor], count: int, low: float = 0.0, high: float = 1.0
) -> Array:
    """Make random samples that a model takes, always the same.

    An input of whole numbers gets 0 and 1, which every vocabulary has.

    Args:
        inputs: Inputs of the model.
        count: Number of samples.
        low: Smallest number.
        high: Largest number.

    Returns:
        The type of the input, shape (count, *shape of the input); of several inputs a field for
        each.
    """
    random = np.random.default_rng(0)
    arrays = {
        tensor.name: (
            random.integers(0, 2, (count, *tensor.shape))
            if tensor.is_whole
            else random.uniform(low, high, (count, *tensor.shape))
        ).astype(tensor.dtype)
        for tensor in inputs
    }
    return join_fields(arrays) if len(inputs) > 1 else arrays[inputs[0].name]


def gives_probabilities(
    predict: Callable[[Array], Array],
    inputs: Sequence[ModelTensor],
    outputs: Sequence[ModelTensor],
    keras_model: KerasModel | None,
) -> Probabilities:
    """Find out whether scores are probabilities: those of a softmax are for any input at all.

    Args:
        predict: Function of a batch, shape (n, *shape of the input), to the answers, shape
            (n, *shape of the output); with a field for each of several inputs or outputs.
        inputs: Inputs of the model.
        outputs: Outputs of the model.
        keras_model: Keras model, whose last layers decide about single scores; or None.
    """
    answers = predict(noise_for(inputs, 8))
    layers = _last_layers(outputs, keras_model)
    if len(outputs) == 1:
        return _are_probabilities(answers, layers.get(outputs[0].name))
    return {
        tensor.name: _are_probabilities(answers[tensor.name], layers.get(tensor.name))
        for tensor in outputs
    }


def sure_probabilities(
    probabilities: Probabilities, outputs: Sequence[ModelTensor], keras_model: KerasModel | None
) -> Probabilities:
    """Take back guesses about single scores: numbers from 0 to 1 may be a regression's as well.

    Args:
        probabilities: Result of `gives_probabilities`.
        outputs: Outputs of the model.
        keras_model: Keras model, whose last layers are no guess; or None.
    """
    layers = _last_layers(outputs, keras_model)
    sure = {
        tensor.name: select_field(probabilities, tensor.name if len(outputs) > 1 else "")
        and (int(np.prod(tensor.shape)) > 1 or "activation" in _config(layers.get(tensor.name)))
        for tensor in outputs
    }
    return sure if len(outputs) > 1 else sure[outputs[0].name]


def _last_layers(outputs: Sequence[ModelTensor], keras_model: KerasModel | None) -> dict[str, Any]:
    """The layer of each output, by the output's name, as far as it is known."""
    if keras_model is None:
        return {}
    if len(outputs) == 1:
        return {outputs[0].name: keras_model.layers[-1]}
    return {layer.name: layer for layer in keras_model.layers}


def _config(layer: Any) -> dict[str, Any]:
    return dict(layer.get_config()) if layer is not None else {}


def _are_probabilities(scores: Array, last: Any) -> bool:
    """Whether scores of one output are probabilities; `last` is its layer, if it is known."""
    if scores.ndim < 2:
        return False
    if scores.shape[-1] > 1:
        sums = scores.sum(axis=-1)
        return bool((scores >= 0).all() and (np.abs(sums - 1) < _SUM_TOLERANCE).all())
    config = _config(last)
    if "activation" in config:
        return "sigmoid" in str(config["activation"])
    return bool(((scores >= 0) & (scores <= 1)).all())
