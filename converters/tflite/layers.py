"""Layers of a .tflite as a person knows them: the names of its operators, and their work."""

from __future__ import annotations

from pathlib import Path

from ai_edge_litert import schema_py_generated as schema

from converters.model_file import OperatorWork
from converters.tflite.subgraph import Subgraph


def operator_works(path: Path) -> tuple[OperatorWork, ...]:
    """Return the operators of the first subgraph in the order in which they run.

    Args:
        path: File that went through `converters.tflite.reader.read_model`.
    """
    content = path.read_bytes()
    graph = Subgraph(schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0)), 0)
    return tuple(
        OperatorWork(name, layer_of(graph, op), graph.macs(name, op))
        for name, op in graph.operators
        if op.outputs is not None and len(op.outputs)
    )


def layer_of(graph: Subgraph, op: object) -> str:
    """Return the name of an operator's layer: the scope before the last part of a tensor's name.

    Keras writes it so: "model/conv2d_1/Relu;model/conv2d_1/BiasAdd" is of "conv2d_1".
    """
    name = graph.name(int(op.outputs[0]))  # type: ignore[attr-defined]
    parts = name.split(";")[0].split("/")
    return parts[-2] if len(parts) > 1 else parts[0]
