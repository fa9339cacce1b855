"""Operators of an integer file that compute in floats again: what the file then holds and gives."""

from pathlib import Path

import numpy as np
import pytest

from converters.errors import ConversionError
from converters.graph.node import DENSE, Node
from converters.quantize.float_operators import compute_in_floats, float_name
from converters.tflite.reader import read_model
from converters.tflite.run import run_model
from converters.tflite.unpacked import UnpackedModel
from tests.dense_model import SIZE, dense_model


def real_kernel(model: UnpackedModel, tensor: int) -> np.ndarray:
    data = model.model.buffers[model.tensors[tensor].buffer].data
    stored = np.frombuffer(bytes(bytearray(data)), np.int8).reshape(SIZE, SIZE)
    return (stored * np.float32(0.01)).T


def test_an_operator_computes_in_floats_between_integers(tmp_path: Path) -> None:
    before = dense_model()
    model = UnpackedModel(before)
    operator = model.operators[0]
    node = Node("dense", DENSE, ("x",), (SIZE,), weights="dense")
    weights = {"dense": {"kernel": real_kernel(model, int(operator.inputs[1]))}}
    after = compute_in_floats(before, {int(operator.outputs[0]): node}, weights)
    changed = UnpackedModel(after)
    assert [changed.op(op) for op in changed.operators[:4]] == [
        "DEQUANTIZE", "FULLY_CONNECTED", "QUANTIZE", "FULLY_CONNECTED",
    ]  # fmt: skip
    (output,) = changed.operators[1].outputs
    assert (changed.name(int(output)), changed.spec(int(output)).dtype) == (
        float_name(node), "float32",
    )  # fmt: skip
    x = np.random.default_rng(0).integers(-128, 128, (5, SIZE)).astype(np.int8)
    answers = []
    for name, content in (("before", before), ("after", after)):
        path = tmp_path / f"{name}.tflite"
        path.write_bytes(content)
        (values,) = run_model(path, {read_model(path).inputs[0].name: x}).values()
        answers.append(values.astype(int))
    assert np.abs(answers[0] - answers[1]).max() <= 1


def test_a_layer_that_is_no_single_operator_is_named() -> None:
    content = dense_model()
    model = UnpackedModel(content)
    softmax = int(model.operators[-1].outputs[0])
    node = Node("soft", DENSE, ("x",), (SIZE,), weights="soft")
    weights = {"soft": {"kernel": np.zeros((SIZE, SIZE), np.float32)}}
    for output in (softmax, 0, -1):
        with pytest.raises(ConversionError, match="'soft'.*not one operator"):
            compute_in_floats(content, {output: node}, weights)
