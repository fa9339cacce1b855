"""Writes the .tflite, and checks it before anything trusts it."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tensorflow as tf

from converters import durable
from converters.data.dataset import Samples
from converters.data.names import INPUT_NAME
from converters.draft.draft import DYNAMIC, F16, FLOAT32, W8A8, W8A16, WEIGHT_ONLY, Draft
from converters.errors import ConversionError, HostDiskError
from converters.model_file import ModelFile
from converters.progress import Progress, Report
from converters.sources.loaded_model import WHOLE_NUMBERS
from converters.sources.refused_ops import is_text_or_lookup
from converters.sources.text_inputs import numbers_hint
from converters.tflite.input_output_types import set_types
from converters.tflite.inputs_outputs import copy_names, rename_inputs_outputs
from converters.tflite.reader import read_model
from converters.tflite.unpacked import UnpackedModel

#: An integer file computes in these only; a resource is the name of a variable.
_INTEGER_DTYPES = ("int8", "int16", "int32", "int64", "bool", "int4", "resource")
#: A graph as TensorFlow saves it; that of ResNet-8 takes 0.2 MB.
_GRAPH_BYTES = 2**20
_INTEGER = (W8A8, W8A16)
#: Types in which the weights of a file that computes in floats are stored.
_STORED_AS = {F16: "float16", DYNAMIC: "int8", WEIGHT_ONLY: "int8"}
#: Op of TensorFlow that TFLite does not have, in the message of the converter.
_ABSENT_OP = re.compile(r"'?tf\.(\w+)'? op is neither a custom op nor a flex op")
_HINT = "Report the model; until then the recipe float32 converts it without quantization."
_FLOAT_HINT = "No recipe converts it, because each begins with this step. Report the model."
_OPEN_LOOP_HINT = (
    "Give the .keras or .h5 file that the SavedModel was made from. Without it, export the model "
    "again for a batch of one: model.export(folder, input_signature=[tf.TensorSpec((1, …))])."
)
_MIXED_HINT = "Use the recipe mixed_w8a8: it leaves in floats what cannot be brought to 8 bits."


def emit(draft: Draft, path: Path, report: Report) -> ModelFile:
    """Write a draft as a .tflite of batch 1.

    Args:
        draft: Draft that the recipe made.
        path: File to write.
        report: Function that gets the progress of the calibration.

    Returns:
        Description of the file.

    Raises:
        ConversionError: The converter fails, or an integer file has floats or conversions inside.
        HostDiskError: The disk is full.
    """
    report(Progress("convert", 0, 0))
    draft = draft.for_file()
    content = draft.content
    if content is None:
        content = convert_function(
            draft.function, report, draft.numbers, draft.io, draft.calibration
        )
    if draft.source.content is not None:  # an application may know its input by the name
        content = copy_names(content, draft.source.content)
    durable.write(path, content)
    model = read_model(path)
    if draft.numbers in _INTEGER:
        check_integer(model, draft.io)
    elif draft.numbers in _STORED_AS:
        _check_stored(model, draft.numbers)
    return model


def _refuse_full_disk(variables: Sequence[Any]) -> None:
    """Look before the converter writes temporary files: it takes a full disk for a bad model."""
    folder = tempfile.gettempdir()
    # The variables as TensorFlow saves them and again in the .tflite, and the graph around them.
    needed = 2 * sum(v.dtype.size * v.shape.num_elements() for v in variables) + _GRAPH_BYTES
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise HostDiskError(
            f"{folder}: no space: {free} bytes are free, the converter needs about {needed}",
            "Free space on this computer's disk, or choose another folder with --out.",
        )


def convert_function(
    function: Any,
    report: Report,
    numbers: str = FLOAT32,
    io: str = "int8",
    calibration: Samples | None = None,
) -> bytes:
    """Make a .tflite of a function, by TensorFlow's converter.

    Args:
        function: Concrete function of a batch of one. Whatever owns its variables must live.
        report: Function that gets the progress of the calibration.
        numbers: Numbers that the file computes with, or stores its weights in, as in `Draft`.
        io: Type of the input and output of an integer file.
        calibration: Samples to measure the activations' ranges on, or None.

    Raises:
        ConversionError: The converter fails.
        HostDiskError: The disk is full.
    """
    variables = list(function.graph.variables)
    _refuse_full_disk(variables)
    # The converter saves what owns the variables. Given a Keras model it would save that, layer by
    # layer, in seconds; of a Keras 3 model it would lose the variables. A bare holder does for all.
    holder = tf.Module()
    holder.variables_of_function = variables
    converter = tf.lite.TFLiteConverter.from_concrete_functions([function], holder)
    _choose_numbers(converter, numbers)
    if calibration is not None and numbers != FLOAT32:
        # Keyed by name: an order of inputs is nowhere promised.
        converter.representative_dataset = lambda: _one_by_one(calibration, report)
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    try:
        content = bytes(converter.convert())
        return rename_inputs_outputs(set_types(content, io) if numbers in _INTEGER else content)
    except tf.errors.ResourceExhaustedError as error:
        raise HostDiskError(
            f"the converter ran out of room: {_first_line(error)}", "Free space or memory."
        ) from error
    except OSError:
        raise  # the disk: named where every error of it is
    except Exception as error:  # whatever MLIR raises; it has no class of its own
        absent = _ABSENT_OP.findall(str(error))
        if absent:
            raise _no_operator(absent) from error
        if "TensorListReserve" in str(error):
            raise ConversionError(
                "a recurrent layer was saved for batches of any size, and TFLite has no loop of "
                "arrays whose size is open",
                _OPEN_LOOP_HINT,
            ) from error
        hint = _FLOAT_HINT if numbers == FLOAT32 else _HINT
        raise ConversionError(
            f"TensorFlow's converter refuses the model: {_first_line(error)}", hint
        ) from error


def _no_operator(ops: Sequence[str]) -> ConversionError:
    # The variable that holds a table is a Placeholder.
    names = [op for op in dict.fromkeys(ops) if op != "Placeholder"] or ["Placeholder"]
    return ConversionError(
        f"TFLite has no operator for what the model computes by TensorFlow's {', '.join(names)}",
        numbers_hint()
        if any(map(is_text_or_lookup, names))
        else "No recipe converts it: build the model without it. A graph that computes in float16, "
        "bfloat16 or float64 is to be saved in float32.",
    )


def _choose_numbers(converter: Any, numbers: str) -> None:
    if numbers == FLOAT32:
        return
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if numbers == F16:
        converter.target_spec.supported_types = [tf.float16]


def _one_by_one(samples: Samples, report: Report) -> Iterator[dict[str, Any]]:
    for done, (batch, _) in enumerate(samples.batches(1), start=1):
        names = batch.dtype.names
        yield {name: batch[name] for name in names} if names else {INPUT_NAME: batch}
        if done % 50 == 0:
            report(Progress("calibrate", done, len(samples)))


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def check_integer(model: ModelFile, io: str) -> None:
    """Refuse a file that does not compute in integers from one end to the other.

    Args:
        model: Description of the file.
        io: Type that its inputs and outputs have to have.

    Raises:
        ConversionError: Names the tensor that does not.
    """
    # With no float anywhere there is no DEQUANTIZE, and a QUANTIZE only changes a scale: at an end
    # of uint8, or behind a kernel that dictates its scale (`converters.quantize.ranges`).
    unpacked = UnpackedModel(model.path.read_bytes())
    casts = {unpacked.name(tensor) for tensor in unpacked.border_casts()}
    float_inputs = {unpacked.name(tensor) for tensor in unpacked.row_choosing_inputs()}
    whole_inputs = {i.name for i in model.inputs if i.scale is None and i.dtype in WHOLE_NUMBERS}
    for tensor in model.tensors:
        if tensor.name in casts | whole_inputs | float_inputs:
            continue
        if 0 in tensor.shape:  # a fused LSTM names scales in tensors without values
            continue
        if tensor.dtype not in (*_INTEGER_DTYPES, io):
            raise ConversionError(
                f"{model.path.name}: tensor {tensor.name!r} is {tensor.dtype}: a part of the model "
                "was not quantized",
                _MIXED_HINT,
            )
    for spec in (*model.inputs, *model.outputs):
        if spec.name in float_inputs or spec.scale is None and spec.dtype in WHOLE_NUMBERS:
            continue
        if spec.dtype != io or spec.scale is None:
            raise ConversionError(
                f"{model.path.name}: {spec.name!r} is {spec.dtype}, expected {io} at both ends",
                _HINT,
            )


def _check_stored(model: ModelFile, numbers: str) -> None:
    dtype = _STORED_AS[numbers]
    if not any(tensor.is_constant and tensor.dtype == dtype for tensor in model.tensors):
        raise ConversionError(
            f"{model.path.name}: none of its weights is stored as {dtype}: they are too few",
            "Use the recipe ptq_f16, which rounds every weight, or float32",
        )
