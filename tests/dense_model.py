"""A .tflite with work in it, of two kinds: dense int8 layers, then a softmax."""

import random

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

SIZE = 512


def dense_model(layers: int = 2, size: int = SIZE) -> bytes:
    """int8 `x` through dense layers of `size` x `size` weights, then a softmax to `y`."""
    draw = random.Random(0)
    buffers, tensors, operators = [schema.BufferT()], [_tensor("x", size, 0.05, 0)], []
    for number in range(layers):
        weights = schema.BufferT()
        weights.data = list(draw.randbytes(size * size))
        buffers.append(weights)
        held = _tensor(f"w{number}", size, 0.01, 0)
        held.shape, held.buffer = [size, size], len(buffers) - 1
        tensors += [held, _tensor(f"h{number}", size, 0.5, 0)]
        operators.append(_dense(len(tensors)))
    tensors.append(_tensor("y", size, 1 / 256, -128))
    operators.append(_softmax(len(tensors)))
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = tensors, operators
    graph.inputs, graph.outputs = [0], [len(tensors) - 1]
    model = schema.ModelT()
    model.version, model.subgraphs, model.buffers = 3, [graph], buffers
    model.operatorCodes = [
        _code(schema.BuiltinOperator.FULLY_CONNECTED, 4),
        _code(schema.BuiltinOperator.SOFTMAX, 2),
    ]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _dense(tensors: int) -> schema.OperatorT:
    """Of the last two tensors, weights and output; the one before them is its input."""
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.outputs = 0, [tensors - 1]
    operator.inputs = [tensors - 3 if tensors > 3 else 0, tensors - 2, -1]
    operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
    operator.builtinOptions = schema.FullyConnectedOptionsT()
    return operator


def _softmax(tensors: int) -> schema.OperatorT:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 1, [tensors - 2], [tensors - 1]
    operator.builtinOptionsType = schema.BuiltinOptions.SoftmaxOptions
    operator.builtinOptions = schema.SoftmaxOptionsT()
    operator.builtinOptions.beta = 1.0
    return operator


def _tensor(name: str, size: int, scale: float, zero: int) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = name, [1, size], schema.TensorType.INT8
    tensor.buffer = 0
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero]
    return tensor


def _code(builtin: int, version: int) -> schema.OperatorCodeT:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = builtin
    code.version = version
    return code
