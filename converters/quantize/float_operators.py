"""Operators of an integer .tflite that compute in floats again, with weights that are not rounded.

A DEQUANTIZE stands before such an operator and a QUANTIZE behind it, so that all else stays.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from converters.errors import ConversionError
from converters.graph.node import DEPTHWISE, Node
from converters.tflite.unpacked import UnpackedModel

Array = npt.NDArray[Any]

#: Ops with a kernel and a bias behind their input.
_OPS = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")


def float_name(node: Node) -> str:
    """Return the name of the float output of a node in a file of `compute_in_floats`."""
    return f"{node.name};float"


def compute_in_floats(
    content: bytes, outputs: Mapping[int, Node], weights: Mapping[str, Mapping[str, Array]]
) -> bytes:
    """Let operators compute in floats.

    Args:
        content: Integer file.
        outputs: Position of the output of each operator to the node that it computes.
        weights: Key of weights to the kernel, float32, shape (..., inputs, outputs) as Keras orders
            axes, and more.

    Returns:
        The file; `float_name` is the name of the float output of each operator.

    Raises:
        ConversionError: A node is no single operator with a kernel.
    """
    model = UnpackedModel(content)
    done = set()
    operators = []
    for operator in model.operators:
        output = int(operator.outputs[0]) if len(operator.outputs) else -1
        node = outputs.get(output)
        if node is None:
            operators.append(operator)
            continue
        if model.op(operator) not in _OPS:
            raise _no_operator(node)
        kernel = weights[node.weights]["kernel"]
        operators += _float_operators(model, operator, _in_file_order(node, kernel))
        model.tensors[int(operator.outputs[0])].name = float_name(node)
        done.add(node.name)
    for node in outputs.values():
        if node.name not in done:
            raise _no_operator(node)
    model.operators[:] = operators
    model.set_least_versions()
    return model.pack()


def _float_operators(model: UnpackedModel, operator: Any, kernel: Array) -> list[Any]:
    """Return a DEQUANTIZE, the operator in floats, and a QUANTIZE."""
    source, weights, *bias = (int(i) for i in operator.inputs)
    result = int(operator.outputs[0])
    before = _add_float(model, source)
    after = _add_float(model, result)
    stored = _add_float(model, weights, kernel.reshape(model.shape(weights)))
    biases = [i if i < 0 else _add_float(model, i, _real_bias(model, i)) for i in bias]
    operator.inputs, operator.outputs = [before, stored, *biases], [after]
    model.set_op(operator, model.op(operator), operator.builtinOptions, operator.builtinOptionsType)
    return [
        _conversion(model, "DEQUANTIZE", source, before),
        operator,
        _conversion(model, "QUANTIZE", after, result),
    ]


def _add_float(model: UnpackedModel, tensor: int, values: Array | None = None) -> int:
    """Add a float tensor of the shape of another one, and return its position."""
    added = copy.copy(model.tensors[tensor])
    added.name = f"{model.name(tensor)};float{len(model.tensors)}"
    added.type, added.quantization, added.buffer = schema.TensorType.FLOAT32, None, 0
    if values is not None:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(values, "<f4").tobytes(), np.uint8)
        model.model.buffers.append(buffer)
        added.buffer = len(model.model.buffers) - 1
    model.tensors.append(added)
    return len(model.tensors) - 1


def _conversion(model: UnpackedModel, op: str, source: int, result: int) -> Any:
    operator = schema.OperatorT()
    operator.inputs, operator.outputs = [source], [result]
    operator.opcodeIndex = model.add_code(op)
    return operator


def _real_bias(model: UnpackedModel, tensor: int) -> Array:
    scales = np.asarray(model.tensors[tensor].quantization.scale, np.float64)
    values: Array = (model.integers(tensor) * scales).astype(np.float32)
    return values


def _in_file_order(node: Node, kernel: Array) -> Array:
    """Return a kernel in the order of axes of TFLite: output channels first; depthwise last."""
    if node.op == DEPTHWISE:
        return kernel
    return np.moveaxis(kernel, -1, 0)


def _no_operator(node: Node) -> ConversionError:
    return ConversionError(
        f"layer {node.name!r} ({node.words}) is not one operator of the file, so that it cannot be "
        "kept in floats or 16 bits by training with the rounding",
        "Use ptq_w8a8 with keep_float for this layer.",
    )
