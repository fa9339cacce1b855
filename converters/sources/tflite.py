"""A float .tflite as a source: its bytes are rounded, and its graph is trained."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.fields import from_keras_outputs, select_field
from converters.data.names import OUTPUT_NAME, plain_names
from converters.digest import bytes_of, sha256_of
from converters.errors import ConversionError
from converters.model_file import ModelFile
from converters.sources.declared_shapes import DeclaredShapes
from converters.sources.inputs_outputs import (
    ModelTensor,
    field_names,
    gives_probabilities,
    input_dtypes,
)
from converters.sources.loaded_model import LoadedModel, model_inputs, wrong_output
from converters.sources.source_file import TFLITE, SourceFile
from converters.sources.unused_inputs import find_unused_of_tflite
from converters.tflite.custom_convolutions import replace_custom_convolutions
from converters.tflite.half_constants import operators_of_half_constants, widen_half_constants
from converters.tflite.inputs_outputs import file_names, rename_inputs_outputs
from converters.tflite.isolated import run_isolated
from converters.tflite.reader import read_model
from converters.tflite.unpacked import UnpackedModel, unpack_file

Array = npt.NDArray[Any]

#: Types of a quantized tensor.
_QUANTIZED_DTYPES = ("int4", "int8", "uint8", "int16")
#: Warning about a file of float16 constants, whose lost precision nothing brings back.
_HALVES_WARNING = (
    "the weights of {path} were rounded to 16 bits when it was made: {count} constants are "
    "float16. kedge computes with them as float32, and its figures compare with this file, not "
    "with the model that it was made from."
)
#: Operators that run other subgraphs.
_CONTROL_FLOW = ("WHILE", "IF", "CALL", "CALL_ONCE", "STABLEHLO_COMPOSITE")


def recognise_tflite(path: Path) -> SourceFile | None:
    """Look whether a path holds a .tflite.

    Raises:
        ConversionError: It is damaged, was quantized already, or was compiled for the Edge TPU.
    """
    if path.is_dir():
        return None
    with path.open("rb") as file:
        if file.read(8)[4:] != b"TFL3":
            return None
    model = read_model(path)
    if model.edgetpu:
        raise ConversionError(
            f"{path}: was compiled for the Edge TPU", "Give the float model that it was made from."
        )
    for tensor in model.tensors:
        is_bfloat16 = tensor.is_constant and tensor.dtype == "bfloat16"
        if tensor.scales and tensor.dtype in _QUANTIZED_DTYPES or is_bfloat16:
            raise ConversionError(
                f"{path}: is a .tflite that was quantized already (tensor {tensor.name!r} is "
                f"{tensor.dtype}): the precision that rounding removed cannot be restored",
                "Give the float .tflite or the Keras model that it was made from; push and bench "
                "take it as it is.",
            )
    shapes = {spec.name: _batch_shape(tuple(spec.shape)) for spec in model.inputs}
    return SourceFile(path, TFLITE, shapes=DeclaredShapes(shapes if len(shapes) == 1 else {}))


def load_tflite(source: SourceFile, own: Mapping[str, Any]) -> LoadedModel:  # noqa: ARG001
    """Load a float .tflite, first where a crash is a message: nobody knows what made the file.

    Args:
        source: File.
        own: Not used: a .tflite has no layers.

    Raises:
        ConversionError: It has several subgraphs, or inputs or outputs that kedge does not take.
    """
    from converters.sources.tflite_graph import read_checked_graph
    from converters.tflite.run import run_model

    path = source.path
    model = read_model(path)
    if model.subgraphs != 1:
        names = sorted({op.name for op in model.operators} & set(_CONTROL_FLOW))
        what = f" (it has {', '.join(names)})" if names else ""
        raise ConversionError(
            f"{path}: has {model.subgraphs} subgraphs, expected one{what}",
            "Give the model that the file was made from: kedge reads recurrent layers of Keras, "
            "ONNX and PyTorch, which a .tflite keeps as loops.",
        )
    inputs, outputs = _inputs_and_outputs(model)
    pairs = list(zip(model.inputs, inputs, strict=True))
    run_isolated(path, {s.name: np.zeros((1, *t.shape), t.dtype) for s, t in pairs})
    fields_by_name = {s.name: t.name if len(inputs) > 1 else "" for s, t in pairs}

    dtypes = input_dtypes(inputs)

    def predict(batch: Array) -> Array:
        arrays = {
            n: select_field(batch, field).astype(dtypes.get(field, np.float32))
            for n, field in fields_by_name.items()
        }
        by_name = run_model(path, arrays, reset=model.reset)
        answers = [by_name[spec.name] for spec in model.outputs]
        return from_keras_outputs(answers if len(answers) > 1 else answers[0], field_names(outputs))

    unpacked = unpack_file(path)
    warnings = _prepare(path, unpacked)
    content = unpacked.pack()

    is_single = len(inputs) == len(outputs) == 1  # an application may know them by their names
    return LoadedModel(
        path=path,
        kind=TFLITE,
        keras_model=None,
        predict=predict,
        function=None,
        inputs=inputs,
        outputs=outputs,
        probabilities=gives_probabilities(predict, inputs, outputs, None),
        sha256=sha256_of(path),
        size_bytes=bytes_of(path),
        content=content if is_single else rename_inputs_outputs(content),
        graph_reader=lambda: read_checked_graph(path, content, (inputs, outputs), predict),
        unused=find_unused_of_tflite(unpacked, inputs),
        warnings=warnings,
    )


def _prepare(path: Path, unpacked: UnpackedModel) -> tuple[str, ...]:
    """Fix the batch, bring old operators and constants to today's, and warn of those of float16.

    Raises:
        ConversionError: An operator computes with float16.
    """
    unpacked.fix_batch()
    replace_custom_convolutions(unpacked)
    halves = widen_half_constants(unpacked)
    names = operators_of_half_constants(unpacked)
    if names:
        raise ConversionError(
            f"{path}: {', '.join(names)} takes constants of float16, expected float32",
            "Give the float32 model that it was made from; push and bench take the file as it is.",
        )
    return (_HALVES_WARNING.format(path=path.name, count=halves),) if halves else ()


def _inputs_and_outputs(model: ModelFile) -> tuple[tuple[ModelTensor, ...], ...]:
    """Inputs and outputs, by the names that the signature of the file gives them."""
    path = model.path
    names_in_file = file_names(unpack_file(path))
    input_specs = [
        (name, _batch_shape(spec.shape), spec.dtype)
        for name, spec in zip(names_in_file.inputs, model.inputs, strict=True)
    ]
    inputs = model_inputs(path, input_specs)
    for output in model.outputs:
        if len(output.shape) < 2 or min(output.shape[1:]) < 1:
            raise wrong_output(path, output.shape)
    names = plain_names(names_in_file.outputs, OUTPUT_NAME)
    outputs = tuple(
        ModelTensor(name, tuple(spec.shape[1:]))
        for name, spec in zip(names, model.outputs, strict=True)
    )
    return inputs, outputs


def _batch_shape(shape: tuple[int, ...]) -> tuple[int | None, ...]:
    return tuple(None if axis < 0 else axis for axis in shape)
