"""Kernels that copy bytes: numbers keep their meaning where the scales differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters.tflite.copied_numbers import convert_copied_numbers
from converters.tflite.quantization import dequantize_outputs, quantize_inputs
from converters.tflite.reader import read_model
from converters.tflite.run import run_model
from converters.tflite.unpacked import UnpackedModel
from tests.converters.tflite.tflite_maker import model_object, packed, tensor

VALUES = np.array([[-0.9, -0.2, 0.3, 0.5]], np.float32)


def quantized(name: str, scale: float, zero: int, shape: tuple[int, ...] = (1, 4)) -> Any:
    """A tensor of int8."""
    result = tensor(name, shape=shape)
    result.type = schema.TensorType.INT8
    result.quantization = schema.QuantizationParametersT()
    result.quantization.scale = np.array([scale], np.float32)
    result.quantization.zeroPoint = np.array([zero], np.int64)
    return result


def copying_file(op: str, integers: tuple[int, ...], scales: tuple[Any, Any]) -> bytes:
    """An int8 file of one operator with a list of integers, its scales those of the quantizer."""
    model = model_object(op, use=True)
    graph = model.subgraphs[0]
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.array(integers, "<i4").tobytes(), np.uint8)
    model.buffers.append(buffer)
    list_of_integers = tensor("integers", 1, (len(integers),))
    list_of_integers.type = schema.TensorType.INT32
    graph.tensors = [quantized("x", *scales[0]), quantized("y", *scales[1]), list_of_integers]
    graph.operators[0].inputs = [0, 2]
    return packed(model)


def answer(folder: Path, content: bytes) -> Any:
    path = folder / "model.tflite"
    path.write_bytes(content)
    model = read_model(path)
    answers = run_model(path, quantize_inputs(model.inputs, VALUES))
    return dequantize_outputs(model.outputs, answers, ())


@pytest.mark.parametrize(
    ("op", "integers", "expected"),
    [("REVERSE_V2", (1,), VALUES[:, ::-1]), ("TRANSPOSE", (0, 1), VALUES)],
)
def test_a_copy_with_another_scale_is_converted(
    tmp_path: Path, op: str, integers: tuple[int, ...], expected: Any
) -> None:
    content = copying_file(op, integers, ((0.01, 10), (0.005, -20)))
    model = UnpackedModel(content)
    assert convert_copied_numbers(model) == 1
    # In the wide scale a step is 0.01; in the narrow one numbers end at 0.735 and -0.54.
    expected = np.clip(expected, -0.54, 0.735)
    assert answer(tmp_path, model.pack()) == pytest.approx(expected, abs=0.011)


def test_a_copy_of_one_scale_stays_as_it_is() -> None:
    model = UnpackedModel(copying_file("REVERSE_V2", (1,), ((0.01, 10), (0.01, 10))))
    before = model.pack()
    assert convert_copied_numbers(model) == 0
    assert model.pack() == before


def test_constants_that_are_copied_get_the_scale_of_the_output(tmp_path: Path) -> None:
    model = model_object("ONE_HOT", use=True)
    graph = model.subgraphs[0]
    depth, on, off = (schema.BufferT() for _ in range(3))
    depth.data = np.frombuffer(np.array([3], "<i4").tobytes(), np.uint8)
    on.data, off.data = np.array([127], np.uint8), np.array([0], np.uint8)
    model.buffers += [depth, on, off]
    numbers, depth_tensor = tensor("x", shape=(1, 2)), tensor("depth", 1, ())
    numbers.type = depth_tensor.type = schema.TensorType.INT32
    on_tensor, off_tensor = quantized("on", 1 / 255, -128, ()), quantized("off", 4e-9, 0, ())
    on_tensor.buffer, off_tensor.buffer = 2, 3
    result = quantized("y", 1 / 255, -128, (1, 2, 3))
    graph.tensors = [numbers, result, depth_tensor, on_tensor, off_tensor]
    graph.operators[0].inputs = [0, 2, 3, 4]
    options = schema.OneHotOptionsT()
    options.axis = -1
    graph.operators[0].builtinOptions = options
    graph.operators[0].builtinOptionsType = schema.BuiltinOptions.OneHotOptions
    file = UnpackedModel(packed(model))
    assert convert_copied_numbers(file) == 0  # a constant needs no operator

    path = tmp_path / "model.tflite"
    path.write_bytes(file.pack())
    read = read_model(path)
    answers = run_model(path, quantize_inputs(read.inputs, np.array([[2, 0]], np.int32)))
    values = dequantize_outputs(read.outputs, answers, ())
    assert values == pytest.approx(np.array([[[0, 0, 1], [1, 0, 0]]]), abs=1e-6)
