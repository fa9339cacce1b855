"""Operators of a file by the layers of Keras that they come from. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from converters.quantize.layer_names import float_layer_notes, group_operators
from converters.tflite.unpacked import UnpackedModel
from tests.model_maker import ModelMaker


class KerasModel:
    """The part of a Keras model that names need: a GRU with its cell, and a Dense layer."""

    def _flatten_layers(self, include_self: bool) -> Iterator[Any]:  # noqa: ARG002
        yield SimpleNamespace(name="gru", state_size=4)
        yield SimpleNamespace(name="gru_cell", state_size=4)
        yield SimpleNamespace(name="dense")


def test_the_operators_of_an_unrolled_layer_are_one_group() -> None:
    model = ModelMaker()
    names = ["x", "m/gru/gru_cell/mul", "m/gru/gru_cell/mul_1", "m/dense/Relu", "m/dense/Add"]
    tensors = [model.tensor(name, [1, 4]) for name in names]
    for before, after in zip(tensors, tensors[1:], strict=False):
        model.op("ADD", [before, before], [after], schema.AddOptionsT(), "AddOptions")
    unpacked = UnpackedModel(model.pack([([tensors[0]], [tensors[-1]])]))
    assert group_operators(unpacked, KerasModel()) == {
        "gru_cell": ("m/gru/gru_cell/mul", "m/gru/gru_cell/mul_1"),
        "m/dense/Relu": ("m/dense/Relu",),
        "m/dense/Add": ("m/dense/Add",),
    }
    assert list(group_operators(unpacked, None)) == names[1:]


def test_a_layer_that_makes_whole_numbers_of_floats_computes_in_floats() -> None:
    model = ModelMaker()
    before, after = (
        model.tensor("x", [1, 4]),
        model.tensor("y", [1, 4], dtype=schema.TensorType.INT32),
    )
    model.op("BUCKETIZE", [before], [after], schema.BucketizeOptionsT(), "BucketizeOptions")
    (note,) = float_layer_notes(model.pack([([before], [after])]), None)
    assert note.startswith("operator BUCKETIZE 'y' computes in floats")
