"""Recurrent layers, from TFLite to ONNX."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from converters.errors import ConversionError
from converters.onnx.write.movements import store_integers
from converters.onnx.write.values import Values

Array = npt.NDArray[Any]

#: Places of the inputs of TFLite's LSTM: kernels of input, forget, cell and output gate, the same
#: of what is fed back, and biases. ONNX has the order input, output, forget, cell.
_KERNELS, _FED_BACK, _BIASES = (1, 2, 3, 4), (5, 6, 7, 8), (12, 13, 14, 15)
_ORDER = (0, 3, 1, 2)
#: Places of inputs that LSTM layers of Keras do not have: peepholes, projections, normalization.
_ABSENT = (9, 10, 11, 16, 17, 20, 21, 22, 23)


def write_lstm(values: Values, op: Any) -> None:
    """Write UNIDIRECTIONAL_SEQUENCE_LSTM as LSTM, which computes with real numbers.

    Raises:
        ConversionError: It is another LSTM than that of Keras.
    """
    tensors = [int(i) for i in op.inputs] + [-1] * 24
    if any(tensors[position] >= 0 for position in _ABSENT) or tensors[1] < 0:
        raise ConversionError(
            "the LSTM has peepholes, a projection or normalization, or no input gate",
            "Use an LSTM as Keras has it.",
        )
    source, result, options = tensors[0], int(op.outputs[0]), op.builtinOptions
    kernels, fed_back = (
        np.concatenate([_real_values(values, tensors[places[gate]]) for gate in _ORDER])[None]
        for places in (_KERNELS, _FED_BACK)
    )
    biases = np.concatenate([_real_values(values, tensors[_BIASES[gate]]) for gate in _ORDER])
    biases = np.concatenate([biases, np.zeros_like(biases)])[None]
    units = fed_back.shape[-1]
    name = values.real(source)
    if not options.timeMajor:
        name = values.builder.add("Transpose", [name], perm=[1, 0, 2])
    stored = [
        values.builder.store(array.astype(np.float32), wish)
        for array, wish in ((kernels, "kernels"), (fed_back, "fed_back"), (biases, "biases"))
    ]
    name = values.builder.add("LSTM", [name, *stored], hidden_size=int(units))
    name = values.builder.add("Squeeze", [name, store_integers(values, [1])])
    if not options.timeMajor:
        name = values.builder.add("Transpose", [name], perm=[1, 0, 2])
    values.give(result, name)


def _real_values(values: Values, tensor: int) -> Array:
    """Real numbers of a stored tensor; also of one whose stored values are first dequantized."""
    stored = values.constant(tensor)
    if stored is None:
        origin = next((op for op in values.model.operators if tensor in map(int, op.outputs)), None)
        if origin is None or values.model.op(origin) != "DEQUANTIZE":
            raise ConversionError("the LSTM has weights that are computed", "Store them.")
        return _real_values(values, int(origin.inputs[0]))
    quantization = values.quantization(tensor)
    real = stored.astype(np.float32)
    if quantization is None:
        return real
    shape = [1] * real.ndim
    shape[quantization.axis] = -1
    scales, points = quantization.scales, quantization.points
    if len(scales) == 1:
        return np.asarray((real - points[0]) * scales[0])
    return np.asarray((real - points.reshape(shape)) * scales.reshape(shape))


#: Op of TFLite to the function that writes it.
RULES = {"UNIDIRECTIONAL_SEQUENCE_LSTM": write_lstm}
