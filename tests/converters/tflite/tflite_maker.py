"""Makes small .tflite files from nothing, without TensorFlow: to ask readers and runtimes about."""

from __future__ import annotations

from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema


def packed(model: Any) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def op_model(op: str, version: int, custom: str = "") -> bytes:
    """A model that names one op without using it: enough for a runtime to look it up."""
    return packed(model_object(op, version, custom))


def model_object(op: str = "RELU", version: int = 1, custom: str = "", use: bool = False) -> Any:
    code = schema.OperatorCodeT()
    code.builtinCode = getattr(schema.BuiltinOperator, op)
    code.deprecatedBuiltinCode = min(code.builtinCode, 127)
    code.version = version
    code.customCode = custom or None
    graph = schema.SubGraphT()
    graph.tensors = [tensor("x"), tensor("y")]
    graph.inputs, graph.outputs = [0], [1]
    graph.operators = []
    if use:
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0], [1]
        graph.operators = [operator]
    model = schema.ModelT()
    model.version, model.description = 3, "made by a test"
    model.operatorCodes, model.subgraphs = [code], [graph]
    model.buffers = [schema.BufferT()]
    return model


def tensor(name: str, buffer: int = 0, shape: tuple[int, ...] = (1,)) -> Any:
    made = schema.TensorT()
    made.name, made.shape, made.buffer = name, list(shape), buffer
    made.type = schema.TensorType.FLOAT32
    return made
