"""Makes .tflite files of chosen operators, one behind the other, to ask the rules about."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from tests.converters.tflite.tflite_maker import packed

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Op:
    """An operator whose first input is the output of the operator before it."""

    op: str
    output: Shape
    constants: tuple[Any, ...] = ()
    """Arrays of the inputs behind the first one; a shape stands for a computed one."""
    options: dict[str, Any] = field(default_factory=dict)
    version: int = 1
    first: Any = None
    """Array in the place of the first input: then the computed one is the last input."""


def model_of(
    path: Path, input_shape: Shape, *operators: Op, dtype: str = "INT8", is_open: bool = False
) -> Path:
    """Write a file of operators."""
    graph, model = schema.SubGraphT(), schema.ModelT()
    graph.tensors, graph.operators, model.operatorCodes = [], [], []
    model.version, model.buffers = 3, [schema.BufferT()]

    def tensor(shape: Shape, kind: str = dtype, values: Any = None) -> int:
        made = schema.TensorT()
        made.name, made.shape = f"t{len(graph.tensors)}", list(shape)
        made.type, made.buffer = getattr(schema.TensorType, kind), 0
        if is_open:
            made.shapeSignature = [-1, *shape[1:]]
        if values is not None:
            buffer = schema.BufferT()
            buffer.data = list(np.asarray(values).tobytes())
            made.buffer = len(model.buffers)
            model.buffers.append(buffer)
        graph.tensors.append(made)
        return len(graph.tensors) - 1

    last = tensor(input_shape)
    graph.inputs = [last]
    for position, operator in enumerate(operators):
        code, made = schema.OperatorCodeT(), schema.OperatorT()
        code.builtinCode = getattr(schema.BuiltinOperator, operator.op)
        code.deprecatedBuiltinCode = min(code.builtinCode, 127)
        code.version = operator.version
        model.operatorCodes.append(code)
        inputs = [last]
        for value in operator.constants:
            if isinstance(value, tuple):
                inputs.append(tensor(value))
                graph.inputs.append(inputs[-1])
            else:
                kind = "INT32" if value.dtype == np.int32 else dtype
                inputs.append(tensor(value.shape, kind, value))
        if operator.first is not None:
            inputs.insert(0, tensor(operator.first.shape, "INT32", operator.first))
        made.opcodeIndex, made.inputs = position, inputs
        last = tensor(operator.output)
        made.outputs = [last]
        _set_options(made, operator)
        graph.operators.append(made)
    graph.outputs, model.subgraphs = [last], [graph]
    path.write_bytes(packed(model))
    return path


def _set_options(made: Any, operator: Op) -> None:
    names = [name for name in vars(schema.BuiltinOptions) if not name.startswith("_")]
    plain = operator.op.replace("_", "").lower()
    pools = {"averagepool2d": "pool2d", "maxpool2d": "pool2d"}
    wanted = pools.get(plain, plain) + "options"
    name = next((name for name in names if name.lower() == wanted), None)
    if name is None or not operator.options:
        return
    made.builtinOptionsType = getattr(schema.BuiltinOptions, name)
    made.builtinOptions = getattr(schema, f"{name}T")()
    for key, value in operator.options.items():
        assert hasattr(made.builtinOptions, key), key
        setattr(made.builtinOptions, key, value)
