"""Rules of operators with a state."""

from __future__ import annotations

import numpy as np

from converters.graph.recurrent import Recurrence
from converters.graph.tflite.operator import Array, FileOperator, Rule
from converters.graph.tflite.value import Value

#: Places of the kernels, recurrent kernels and biases of the gates, in the graph's order of gates:
#: input, forget, cell, output.
_KERNELS, _RECURRENT, _BIASES = (1, 2, 3, 4), (5, 6, 7, 8), (12, 13, 14, 15)
#: Places of peephole weights, of a projection, and of coefficients of a layer normalization.
_EXTRAS = (9, 10, 11, 16, 17, 20, 21, 22, 23)
#: Places of the two states.
_STATES = (18, 19)
_TANH = 4
#: Limit of the state that TensorFlow's converter writes for layers that have none.
_CLIP = 10.0


def _lstm(operator: FileOperator) -> Value:
    options, value = operator.options, operator.floats(0)
    if any(_is_there(operator, place) for place in _EXTRAS):
        raise operator.refusal("it has peepholes, a projection or a layer normalization")
    if options.fusedActivationFunction != _TANH or 0 < options.cellClip < _CLIP:
        raise operator.refusal("its activation is not tanh, or it clips its state")
    steps, inputs = value.shape[0 if options.timeMajor else 1], value.shape[-1]
    if len(value.shape) != 3 or steps * inputs != np.prod(value.shape):
        raise operator.refusal(f"its input has the shape {value.shape}, expected one sample")
    units = operator.constant(_KERNELS[0]).shape[0]
    arrays = {
        "kernel": _beside(operator, _KERNELS),
        "recurrent": _beside(operator, _RECURRENT),
        "bias": np.concatenate([operator.constant(place) for place in _BIASES]),
    }
    source = operator.reshape(value.ref, (steps, inputs))
    answer = operator.builder.lstm(operator.layer(), source, arrays, Recurrence(sequences=True))
    shape = (steps, 1, units) if options.timeMajor else (1, steps, units)
    return Value(operator.reshape(answer, _graph_shape_of(shape)), shape)


def _graph_shape_of(shape: tuple[int, int, int]) -> tuple[int, ...]:
    return shape[1:] if shape[0] == 1 else shape


def _is_there(operator: FileOperator, place: int) -> bool:
    return place < len(operator.positions) and operator.positions[place] >= 0


def _beside(operator: FileOperator, places: tuple[int, ...]) -> Array:
    """Kernels (units, inputs) of the gates as one of (inputs, 4 * units)."""
    return np.concatenate([operator.constant(place).T for place in places], axis=1)


#: Rules of operators with a state.
RECURRENT_RULES: dict[str, Rule] = {"UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm}
