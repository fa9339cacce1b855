"""Types of the inputs and outputs of a quantized .tflite, each for itself.

TensorFlow's quantizer gives a file with inputs and outputs of floats, and a QUANTIZE or DEQUANTIZE
between them and the integers inside. An input that has its own reason to be floats may stay so.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters.tflite.unpacked import UnpackedModel

_TYPES = {"int8": schema.TensorType.INT8, "uint8": schema.TensorType.UINT8}
#: Distance of the zero points of int8 and uint8.
_OFFSET = 128


def set_types(content: bytes, io: str, float_inputs: Collection[str] = ()) -> bytes:
    """Let the inputs and outputs of a quantized file be integers, where an integer is behind them.

    Args:
        content: .tflite with inputs and outputs of floats, and 8 bits inside.
        io: Type of the inputs and outputs: "int8" or "uint8".
        float_inputs: Names of inputs that stay floats.
    """
    model = UnpackedModel(content)
    for tensor in model.inputs:
        if model.is_float(tensor) and model.name(tensor) not in float_inputs:
            _change_input(model, tensor, io)
    for tensor in model.outputs:
        if model.is_float(tensor):
            _change_output(model, tensor, io)
    return model.pack()


def _change_input(model: UnpackedModel, tensor: int, io: str) -> None:
    readers = [op for op in model.operators if tensor in map(int, op.inputs)]
    if not readers or any(model.op(op) != "QUANTIZE" for op in readers):
        return
    inside = [int(op.outputs[0]) for op in readers]
    scales = {(model.spec(one).scale, model.spec(one).zero_point) for one in inside}
    if len(scales) != 1 or model.spec(inside[0]).dtype != "int8":
        return
    _set_type(model, tensor, inside[0], io)
    if io == "int8":
        model.operators[:] = [op for op in model.operators if op not in readers]
        _rename(model, dict.fromkeys(inside, tensor))


def _change_output(model: UnpackedModel, tensor: int, io: str) -> None:
    writer = next(op for op in model.operators if tensor in map(int, op.outputs))
    inside = int(writer.inputs[0])
    if model.op(writer) != "DEQUANTIZE" or model.spec(inside).dtype != "int8":
        return
    _set_type(model, tensor, inside, io)
    if io != "int8":
        writer.opcodeIndex, writer.builtinOptions = _quantize_code(model), None
        writer.builtinOptionsType = schema.BuiltinOptions.NONE
        return
    if inside in model.inputs:  # Nothing is computed: the conversion copies.
        writer.opcodeIndex, writer.builtinOptions = _quantize_code(model), None
        writer.builtinOptionsType = schema.BuiltinOptions.NONE
        return
    model.operators[:] = [op for op in model.operators if op is not writer]
    _rename(model, {inside: tensor})


def _set_type(model: UnpackedModel, tensor: int, inside: int, io: str) -> None:
    """Give a tensor the scale of the integers behind it."""
    quantization = schema.QuantizationParametersT()
    spec = model.spec(inside)
    quantization.scale = np.array([spec.scale], np.float32)
    zero = int(spec.zero_point or 0) + (_OFFSET if io == "uint8" else 0)
    quantization.zeroPoint = np.array([zero], np.int64)
    model.tensors[tensor].type = _TYPES[io]
    model.tensors[tensor].quantization = quantization


def _rename(model: UnpackedModel, tensors: dict[int, int]) -> None:
    for operator in model.operators:
        operator.inputs = [tensors.get(int(i), int(i)) for i in operator.inputs]
        operator.outputs = [tensors.get(int(i), int(i)) for i in operator.outputs]


def _quantize_code(model: UnpackedModel) -> int:
    codes: list[Any] = model.model.operatorCodes
    code = schema.BuiltinOperator.QUANTIZE
    for place, existing in enumerate(codes):
        if max(existing.builtinCode, existing.deprecatedBuiltinCode) == code:
            return place
    new = schema.OperatorCodeT()
    new.builtinCode = new.deprecatedBuiltinCode = code
    new.version = 1
    codes.append(new)
    return len(codes) - 1
