"""From a float .tflite and its ranges to an integer one: the only use of TensorFlow's quantizer.

It is the quantizer behind `tf.lite.TFLiteConverter`, which calibrates a float file in the same way
and then calls it. Called directly it takes any float .tflite, ranges of any origin, and names of
layers to leave in floats. The pinned TensorFlow keeps these internal names in their place.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.python.optimize.calibrator import Calibrator
from tensorflow.lite.python.util import modify_model_io_type

from converters.data.dataset import Samples
from converters.errors import ConversionError
from converters.progress import Progress, Report
from converters.quantize.calibrate import Ranges
from converters.tflite.quantization import quantize_inputs
from converters.tflite.unpacked import UnpackedModel

_REPORT_EVERY = 50
_HINT = "report the model; until then use the recipe ptq_dynamic, which needs no ranges"


def int8_file(content: bytes, ranges: Ranges, io: str, floats: Iterable[str] = ()) -> bytes:
    """Quantize a float .tflite to 8 bits.

    Args:
        content: The float file.
        ranges: Of its activations.
        io: Type of its input and output: "int8" or "uint8".
        floats: Names of tensors whose operators stay in floats.

    Raises:
        ConversionError: TensorFlow's quantizer refuses the model.
    """
    noted = UnpackedModel(content)
    for tensor, (low, high) in ranges.items():
        noted.set_range(tensor, low, high)
    kept, ends = set(floats), tf.dtypes.as_dtype(io)
    # The quantizer knows ends of floats and of int8; others are made of floats.
    made = ends if ends == tf.int8 else tf.float32
    try:
        quantized = mlir_quantize(
            noted.pack(),
            fully_quantize=not kept and made == tf.int8,
            input_data_type=made,
            output_data_type=made,
            denylisted_nodes=kept or None,
        )
        return bytes(quantized if made == ends else modify_model_io_type(quantized, ends, ends))
    except Exception as error:  # whatever MLIR raises; it has no class of its own
        raise _refused(error) from error


def int16_file(content: bytes, samples: Samples, report: Report) -> bytes:
    """Quantize a float .tflite to 8-bit weights and 16-bit activations, int16 at both ends.

    Args:
        content: The float file.
        samples: To measure the ranges on.
        report: Told now and then.

    Raises:
        ConversionError: TensorFlow's quantizer refuses the model.
    """
    parted = UnpackedModel(content)
    # This quantizer rounds a bias once, with the scale of one of those that take it.
    parted.part_vectors()
    content = parted.pack()
    ends, inside, bias = tf.int16, tf.int16, tf.int64
    try:
        quantized = Calibrator(content).calibrate_and_quantize(
            lambda: _one_by_one(content, samples, report), ends, ends, False, inside, bias
        )
    except Exception as error:  # what the quantizer raises depends on the op
        raise _refused(error) from error
    claimed = UnpackedModel(bytes(quantized))
    claimed.set_least_versions()  # those of int8, where the quantizer is left alone
    return claimed.pack()


def _one_by_one(
    content: bytes, samples: Samples, report: Report
) -> Iterator[list[npt.NDArray[np.float32]]]:
    """Inputs in the order of the file, which is all that this calibrator takes."""
    model = UnpackedModel(content)
    specs = [model.spec(position) for position in model.inputs]
    for done, (batch, _) in enumerate(samples.batches(1), start=1):
        yield list(quantize_inputs(specs, batch).values())
        if done % _REPORT_EVERY == 0:
            report(Progress("calibrate", done, len(samples)))


def _refused(error: Exception) -> ConversionError:
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    return ConversionError(f"TensorFlow's quantizer refuses the model: {first_line}", _HINT)
