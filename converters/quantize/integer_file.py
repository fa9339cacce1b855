"""From a float .tflite and its ranges to an integer one: the only use of TensorFlow's quantizer.

`tf.lite.TFLiteConverter` calls this quantizer too, after it has calibrated a float file. A direct
call accepts any float .tflite, ranges of any origin, and names of layers that stay in floats. The
names are internal to TensorFlow; its version is pinned, so they cannot move.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

import tensorflow as tf
from tensorflow.lite.python.convert import mlir_quantize
from tensorflow.lite.python.optimize.calibrator import Calibrator

from converters.errors import ConversionError
from converters.quantize.calibrate import Ranges
from converters.quantize.layer_names import COMPARISONS
from converters.quantize.normalizations import find_normalizations
from converters.tflite.copied_numbers import convert_copied_numbers
from converters.tflite.input_output_types import set_types
from converters.tflite.unpacked import UnpackedModel, with_shared_buffers

#: Op that TensorFlow's quantizer for 16 bits does not know, and no network has.
_UNKNOWN = "COMPLEX_ABS"
_HINT = "Report the model; until then use the recipe ptq_f16, which needs no ranges."
#: Beginning of the message about a tensor of whole numbers, such as the ids of words.
_NO_RANGE = "Max and min for dynamic tensors"


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
        # The quantizer writes the kernel of an unrolled layer once for each step.
        model = UnpackedModel(with_shared_buffers(bytes(quantized)))
        convert_copied_numbers(model)
        result = model.pack()
        return result if quantizer_type == tf.int8 else set_types(result, io, kept_inputs)
    except Exception as error:  # MLIR may raise anything; its errors have no common class.
        raise _refusal(error) from error


def int16_file(content: bytes, ranges: Ranges) -> bytes:
    """Quantize a float .tflite to 8-bit weights and 16-bit activations, inputs and outputs.

    Normalizations, and ops without a kernel for 16 bits, stay in floats.

    Args:
        content: The float file.
        ranges: Position of each activation's tensor to its lowest and highest number.

    Raises:
        ConversionError: TensorFlow's quantizer refuses the model.
    """
    model = UnpackedModel(content)
    for tensor, (low, high) in ranges.items():
        # A range of zeros ends the process of this quantizer.
        model.set_range(tensor, low, high if low or high else 1.0)
    # This quantizer rounds a shared bias only once, with the scale of one of the ops that use it.
    model.part_vectors()
    model.keep_rows_positive()
    originals = _hide(model)
    quantized = _with_integer_ends(model.pack())
    result = UnpackedModel(quantized)
    hidden = (op for op in result.operators if result.op(op) == _UNKNOWN)
    for operator, original in zip(hidden, originals, strict=True):
        result.set_op(operator, *original)
        dtypes = {result.spec(int(i)).dtype for i in operator.inputs}
        if original[0] in COMPARISONS and len(dtypes) > 1:
            name = result.name(int(operator.outputs[0]))
            raise ConversionError(
                f"operator {original[0]} {name!r} compares floats, and TensorFlow's quantizer for "
                "16 bits gives it integers",
                "Use the recipe ptq_w8a8, or ptq_f16.",
            )
    result.set_least_versions()  # The quantizer alone writes the versions of int8.
    return result.pack()


def _with_integer_ends(content: bytes) -> bytes:
    """Quantize to 16 bits; an input or output keeps floats where the op next to it has them."""
    last_error: Exception | None = None
    for ends in (
        (tf.int16, tf.int16),
        (tf.float32, tf.int16),
        (tf.int16, tf.float32),
        (tf.float32,) * 2,
    ):
        try:
            return bytes(
                Calibrator(content).calibrate_and_quantize(
                    lambda: iter(()), *ends, True, tf.int16, tf.int64
                )
            )
        except Exception as error:  # noqa: BLE001 - the kind of the error depends on the op
            last_error = error
    assert last_error is not None
    raise _refusal(last_error) from last_error


def _hide(model: UnpackedModel) -> list[tuple[str, Any, int]]:
    """Make an op that the quantizer for 16 bits leaves in floats of what it would quantize wrongly.

    It takes no names of operators that are to stay. It forgets the number of a PADV2, and rounds
    only one of two numbers that are compared.

    Returns:
        Op, options and kind of the options of each of these operators, in their order.
    """
    originals = []
    normalizations = {n for chain in find_normalizations(model) for n in chain}
    for position, operator in enumerate(model.operators):
        is_comparison = model.op(operator) in COMPARISONS and model.is_float(operator.inputs[0])
        if position not in normalizations and not is_comparison and model.op(operator) != "PADV2":
            continue
        originals.append((model.op(operator), operator.builtinOptions, operator.builtinOptionsType))
        model.set_op(operator, _UNKNOWN)
    return originals


def _refusal(error: Exception) -> ConversionError:
    first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
    if first_line.startswith(_NO_RANGE):
        return ConversionError(
            "TensorFlow's quantizer for 16 bits takes no operator that compares whole numbers of "
            "an input",
            "Use the recipe ptq_w8a8, or ptq_f16.",
        )
    return ConversionError(f"TensorFlow's quantizer refuses the model: {first_line}", _HINT)
