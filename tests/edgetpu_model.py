"""What the Edge TPU's compiler makes of a small model: one custom operator, nothing else."""

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

from converters.tflite.reader import EDGETPU_OP
from tests.tiny_model import SHAPE


def edgetpu_model(output: str = "y", kind: int = schema.TensorType.UINT8) -> bytes:
    """`x` to an output, by `edgetpu-custom-op`."""
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CUSTOM
    code.customCode, code.version = EDGETPU_OP, 1
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
    graph = schema.SubGraphT()
    graph.tensors, graph.operators = [_tensor("x", kind), _tensor(output, kind)], [operator]
    graph.inputs, graph.outputs = [0], [1]
    model = schema.ModelT()
    model.version = 3
    model.operatorCodes, model.subgraphs, model.buffers = [code], [graph], [schema.BufferT()]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _tensor(name: str, kind: int) -> schema.TensorT:
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = name, SHAPE, kind
    tensor.buffer = 0
    tensor.quantization = schema.QuantizationParametersT()
    tensor.quantization.scale, tensor.quantization.zeroPoint = [0.5], [0]
    return tensor
