"""Brings a ModelProto of other floats to float32, in which kedge computes and trains."""

from __future__ import annotations

from typing import Any

import numpy as np

from converters.onnx.proto import graphs_in


def convert_floats(model: Any) -> None:
    """Make float32 of all float16, bfloat16 and float64 of a model; changes the model.

    Args:
        model: `onnx.ModelProto`, with its values inside.
    """
    from onnx import TensorProto

    others = (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
    for graph in graphs_in(model.graph):
        for tensor in graph.initializer:
            _convert(tensor, others)
        for value in (*graph.input, *graph.output, *graph.value_info):
            if value.type.tensor_type.elem_type in others:
                value.type.tensor_type.elem_type = TensorProto.FLOAT
        for node in graph.node:
            for attribute in node.attribute:
                _convert(attribute.t, others)
                is_type = attribute.name in ("to", "dtype", "stash_type", "output_dtype")
                if is_type and attribute.i in others:
                    attribute.i = TensorProto.FLOAT


def _convert(tensor: Any, others: tuple[int, ...]) -> None:
    from onnx import numpy_helper

    if tensor.data_type in others:
        array = numpy_helper.to_array(tensor).astype(np.float32)
        tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
