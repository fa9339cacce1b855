"""Figures of each operator of a .tflite: shapes, types, work, bytes and parameters."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ai_edge_litert import schema_py_generated as schema

from converters.errors import ConversionError
from converters.inspection import ModelFigures, OperatorFigures, OperatorTensorUse
from converters.tflite.cost import ModelWork, parameters_of
from converters.tflite.layers import layer_of
from converters.tflite.subgraph import Subgraph, numbers, present
from device_agent.contract.records import on_one_line

#: Errors that tables which the reader does not read, such as options of ops, can raise.
_DAMAGE = (struct.error, LookupError, ValueError, TypeError, OverflowError, AttributeError)
#: Ops that read rows of their table only, and the position of the table among their inputs.
_TABLES = {"GATHER": 0, "EMBEDDING_LOOKUP": 1}

Result = TypeVar("Result")


def tflite_figures(path: Path) -> ModelFigures:
    """Count the figures of each operator of a file.

    Args:
        path: File that `converters.tflite.reader.read_model` accepted.

    Raises:
        ConversionError: Options of an operator are damaged.
    """
    return examine_unpacked(path, _figures)


def examine_unpacked(path: Path, examine: Callable[[Any], Result]) -> Result:
    """Unpack a file that was read, and examine it; what is damaged in it is refused.

    Args:
        path: File that `converters.tflite.reader.read_model` accepted, which does not read the
            options of ops.
        examine: Function that takes the schema's object of the file.

    Raises:
        ConversionError: A table that the reader does not read is damaged, or an operator lacks
            inputs or outputs.
    """
    try:
        return examine(schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0)))
    except _DAMAGE as error:
        raise ConversionError(
            f"{path}: is a damaged .tflite: the inputs, outputs or options of an operator are not "
            f"those of its op ({type(error).__name__})",
            "Copy or convert it again.",
        ) from error


def _figures(model: Any) -> ModelFigures:
    whole = ModelWork(model)
    main = whole.work(0)
    operators = []
    for position in range(len(model.subgraphs)):
        graph = Subgraph(model, position)
        for number, (name, op) in enumerate(graph.operators):
            operators.append(_operator(model, graph, position, number, name, op))
    return ModelFigures(
        operators=tuple(operators),
        parameters=whole.parameters(),
        macs=main.macs,
        uncounted=tuple(sorted(main.uncounted)),
        peak_tensor_bytes=main.peak_bytes + whole.variable_bytes(),
        unused_subgraphs=tuple(sorted({*range(len(model.subgraphs))} - {*whole.graphs})),
    )


def _operator(
    model: Any, graph: Subgraph, position: int, number: int, name: str, op: Any
) -> OperatorFigures:
    code = model.operatorCodes[op.opcodeIndex]
    own_name = code.customCode if name == "CUSTOM" else None
    inputs = tuple(_use(graph, tensor) for tensor in present(op.inputs))
    outputs = tuple(_use(graph, tensor) for tensor in numbers(op.outputs))
    written = sum(tensor.bytes for tensor in outputs)
    table = _TABLES.get(name)
    read = sum(
        min(tensor.bytes, written) if i == table else tensor.bytes
        for i, tensor in enumerate(inputs)
    )
    return OperatorFigures(
        subgraph=position,
        number=number,
        op=on_one_line(own_name.decode("utf-8", "replace"))
        if isinstance(own_name, bytes)
        else name,
        version=int(code.version),
        layer=layer_of(graph, op) if outputs else "",
        inputs=inputs,
        outputs=outputs,
        macs=graph.macs(name, op),
        bytes_read=read,
        bytes_written=written,
        parameters=sum(parameters_of(graph, name, op).values()),
    )


def _use(graph: Subgraph, tensor: int) -> OperatorTensorUse:
    return OperatorTensorUse(
        graph.name(tensor),
        graph.shape(tensor),
        graph.dtype(tensor),
        graph.is_constant(tensor),
        graph.bytes(tensor),
    )
