"""Constants that a .tflite stores in 16 bits and a DEQUANTIZE brings to 32."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters.tflite.unpacked import UnpackedModel

_HALF = "float16"


def widen_half_constants(model: UnpackedModel) -> int:
    """Store constants of float16 as float32, and remove the operators that converted them.

    Args:
        model: File that is changed. Constants that something else than a DEQUANTIZE takes, or that
            are stored without their zeros, stay what they are.

    Returns:
        Number of constants that became float32.
    """
    buffers: dict[int, int] = {}
    remaining = []
    for operator in model.operators:
        half = _converted_constant(model, operator)
        if half < 0:
            remaining.append(operator)
            continue
        source = model.tensors[half].buffer
        if source not in buffers:
            buffers[source] = _add_buffer(model, source)
        tensor = model.tensors[int(operator.outputs[0])]
        tensor.buffer, tensor.shape = buffers[source], model.tensors[half].shape
    model.operators[:] = remaining
    used = {int(i) for operator in remaining for i in operator.inputs}
    for position, tensor in enumerate(model.tensors):
        if tensor.buffer in buffers and position not in used:
            tensor.buffer = 0  # the empty one
    for source in buffers:
        if not any(tensor.buffer == source for tensor in model.tensors):
            model.model.buffers[source].data = None
    return len(buffers)


def operators_of_half_constants(model: UnpackedModel) -> tuple[str, ...]:
    """Names of the builtins that take constants of float16, such as "DENSIFY"; each once."""
    names = {
        model.op(operator)
        for operator in model.operators
        for tensor in map(int, operator.inputs)
        if tensor >= 0 and model.spec(tensor).dtype == _HALF and model.is_stored(tensor)
    }
    return tuple(sorted(names))


def _converted_constant(model: UnpackedModel, operator: Any) -> int:
    """Position of the constant of float16 that an operator converts; -1 where it does not."""
    if model.op(operator) != "DEQUANTIZE" or len(operator.inputs) != 1:
        return -1
    half, output = int(operator.inputs[0]), int(operator.outputs[0])
    spec, tensor = model.spec(half), model.tensors[half]
    if spec.dtype != _HALF or tensor.sparsity is not None or not model.is_stored(half):
        return -1
    is_whole = len(model.model.buffers[tensor.buffer].data) == 2 * prod(spec.shape)
    return half if is_whole and model.is_float(output) and output not in model.outputs else -1


def _add_buffer(model: UnpackedModel, source: int) -> int:
    """Add a buffer of the numbers of another one, as float32, and return its position."""
    halves = np.frombuffer(bytes(bytearray(model.model.buffers[source].data)), "<f2")
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(halves.astype("<f4").tobytes(), np.uint8)
    model.model.buffers.append(buffer)
    return len(model.model.buffers) - 1
