"""The smallest .tflite files that keep a state from one inference to the next."""

from __future__ import annotations

import struct
from typing import Any

import flatbuffers
from ai_edge_litert import schema_py_generated as schema

_FLOAT32, _RESOURCE = schema.TensorType.FLOAT32, schema.TensorType.RESOURCE


def sum_model() -> bytes:
    """float32 `x` [1, 1, 1] to `y`: UNIDIRECTIONAL_SEQUENCE_RNN that adds up what is not < 0."""
    model = _Maker()
    x, y = model.tensor("x", [1, 1, 1]), model.tensor("y", [1, 1, 1])
    weight, recurrent = (model.tensor(name, [1, 1], 1.0) for name in ("weight", "recurrent"))
    bias, state = model.tensor("bias", [1], 0.0), model.tensor("state", [1, 1])
    model.tensors[state].isVariable = True
    options = schema.SequenceRNNOptionsT()
    options.fusedActivationFunction = schema.ActivationFunctionType.RELU
    inputs = [x, weight, recurrent, bias, state]
    model.op("UNIDIRECTIONAL_SEQUENCE_RNN", inputs, [y], options, "SequenceRNNOptions")
    return model.pack([([x], [y])])


def counter_model(changes: bool = True) -> bytes:
    """float32 `x` [1] to `y`: `x` plus a resource variable, which begins as 5 and becomes `y`.

    Args:
        changes: Whether the variable becomes `y`; otherwise it stays at 5.
    """
    model = _Maker()
    x, handle = model.tensor("x", [1]), model.tensor("variable", [], dtype=_RESOURCE)
    value, y = model.tensor("value", [1]), model.tensor("y", [1])
    once = schema.CallOnceOptionsT()
    once.initSubgraphIndex = 1
    model.op("CALL_ONCE", [], [], once, "CallOnceOptions")
    model.op("VAR_HANDLE", [], [handle], _handle(), "VarHandleOptions")
    model.op("READ_VARIABLE", [handle], [value])
    model.op("ADD", [value, x], [y], schema.AddOptionsT(), "AddOptions")
    if changes:
        model.op("ASSIGN_VARIABLE", [handle, y], [])
    model.next_graph()
    handle = model.tensor("variable", [], dtype=_RESOURCE)
    begin = model.tensor("begin", [1], 5.0)
    model.op("VAR_HANDLE", [], [handle], _handle(), "VarHandleOptions")
    model.op("ASSIGN_VARIABLE", [handle, begin], [])
    return model.pack([([x], [y]), ([], [])])


def _handle() -> Any:
    options = schema.VarHandleOptionsT()
    options.container, options.sharedName = "", "variable"
    return options


class _Maker:
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
        self, name: str, shape: list[int], value: float | None = None, dtype: int = _FLOAT32
    ) -> int:
        tensor = schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, shape, dtype, 0
        if value is not None:
            buffer = schema.BufferT()
            buffer.data = list(struct.pack("<f", value))
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
