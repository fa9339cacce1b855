"""Makes .tflite files of several subgraphs from the schema, without TensorFlow."""

from __future__ import annotations

import struct
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema


class ModelMaker:
    """A .tflite that grows, a subgraph after the other."""

    def __init__(self) -> None:
        self.codes: list[Any] = []
        self.buffers = [schema.BufferT()]
        self.graphs: list[Any] = []
        self.next_graph()

    def next_graph(self) -> None:
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        graph = schema.SubGraphT()
        graph.tensors, graph.operators = self.tensors, self.operators
        self.graphs.append(graph)

    def tensor(
        self,
        name: str,
        shape: list[int],
        value: float | bytes | None = None,
        dtype: int = schema.TensorType.FLOAT32,
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, dtype, 0
        if value is not None:
            buffer = schema.BufferT()
            buffer.data = list(value if isinstance(value, bytes) else struct.pack("<f", value))
            tensor.buffer = len(self.buffers)
            self.buffers.append(buffer)
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def op(
        self, name: str, inputs: list[int], outputs: list[int], options: Any = None, kind: str = ""
    ) -> None:
        code = schema.OperatorCodeT()
        code.builtinCode = getattr(schema.BuiltinOperator, name)
        code.deprecatedBuiltinCode, code.version = min(code.builtinCode, 127), 1
        operator = schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = len(self.codes), inputs, outputs
        if options is not None:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, kind)
            operator.builtinOptions = options
        self.codes.append(code)
        self.operators.append(operator)

    def pack(self, inputs_outputs: list[tuple[list[int], list[int]]]) -> bytes:
        for graph, (inputs, outputs) in zip(self.graphs, inputs_outputs, strict=True):
            graph.inputs, graph.outputs = inputs, outputs
        model = schema.ModelT()
        model.version, model.operatorCodes = 3, self.codes
        model.subgraphs, model.buffers = self.graphs, self.buffers
        builder = flatbuffers.Builder(1024)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())
