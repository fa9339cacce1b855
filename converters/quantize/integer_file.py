"""From a float .tflite and its ranges to an integer one: the only use of TensorFlow's quantizer.

`tf.lite.TFLiteConverter` calls this quantizer too, after it has calibrated a float file. A direct
call accepts any float .tflite, ranges of any origin, and names of layers that stay in floats. The
names are internal to TensorFlow; its version is pinned, so they cannot move.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.python.optimize.calibrator import Calibrator

from converters.data.dataset import Samples
from converters.errors import ConversionError
from converters.progress import Progress, Report
from converters.quantize.calibrate import Ranges
from converters.tflite.input_output_types import set_types
from converters.tflite.quantization import quantize_inputs
from converters.tflite.unpacked import UnpackedModel

_REPORT_EVERY = 50
_HINT = "Report the model; until then use the recipe ptq_dynamic, which needs no ranges."


def int8_file(
    content: bytes,
    ranges: Ranges,
    io: str,
    floats: Iterable[str] = (),
    float_inputs: Collection[str] = (),
) -> bytes:
    """Quantize a float .tflite to 8 bits.

    Args:
        content: The float file.
        ranges: Position of each activation's tensor to its lowest and highest number.
        io: Type of the file's inputs and outputs: "int8" or "uint8".
        floats: Names of tensors whose operators stay in floats.
        float_inputs: Names of inputs that stay floats. Inputs that only choose rows of a table stay
            floats anyway.

    Raises:
        ConversionError: TensorFlow's quantizer refuses the model.
    """
    model = UnpackedModel(content)
    for tensor, (low, high) in ranges.items():
        model.set_range(tensor, low, high)
    choosing = {model.name(tensor) for tensor in model.row_choosing_inputs()}
    float_names, kept_inputs = set(floats), choosing | set(float_inputs)
    # The quantizer supports inputs and outputs of floats and of int8; floats become other types.
    quantizer_type = tf.int8 if io == "int8" and not kept_inputs else tf.float32
    try:
        quantized = mlir_quantize(
            model.pack(),
            fully_quantize=not float_names and quantizer_type == tf.int8,
            input_data_type=quantizer_type,
            output_data_type=quantizer_type,
            denylisted_nodes=float_names or None,
        )
        if quantizer_type == tf.int8:
            return bytes(quantized)
        return set_types(bytes(quantized), io, kept_inputs)
    except Exception as error:  # MLIR may raise anything; its errors have no common class.
        raise _refusal(error) from error


def int16_file(content: bytes, samples: Samples, report: Report) -> bytes:
    """Quantize a float .tflite to 8-bit weights and 16-bit activations, inputs and outputs.

    Args:
        content: The float file.
        samples: Samples to measure the ranges on.
        report: Function that receives the progress every 50 samples.

    Raises:
        ConversionError: TensorFlow's quantizer refuses the model.
    """
    model = UnpackedModel(content)
    # This quantizer rounds a shared bias only once, with the scale of one of the ops that use it.
    model.part_vectors()
    model.keep_rows_positive()
    content = model.pack()
    io_type, inner_type, bias_type = tf.int16, tf.int16, tf.int64
    try:
        quantized = Calibrator(content).calibrate_and_quantize(
            lambda: _one_by_one(content, samples, report),
            io_type,
            io_type,
            False,
            inner_type,
            bias_type,
        )
    except Exception as error:  # The kind of the error depends on the op.
        raise _refusal(error) from error
    result = UnpackedModel(bytes(quantized))
    result.set_least_versions()  # The quantizer alone writes the versions of int8.
    return result.pack()


def _one_by_one(
    content: bytes, samples: Samples, report: Report
) -> Iterator[list[npt.NDArray[np.float32]]]:
    """Yield the inputs of each sample in the order of the file; the calibrator knows no names."""
    model = UnpackedModel(content)
    specs = [model.spec(position) for position in model.inputs]
    for done, (batch, _) in enumerate(samples.batches(1), start=1):
        yield list(quantize_inputs(specs, batch).values())
        if done % _REPORT_EVERY == 0:
            report(Progress("calibrate", done, len(samples)))


def _refusal(error: Exception) -> ConversionError:
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ConversionError(f"TensorFlow's quantizer refuses the model: {first_line}", _HINT)
