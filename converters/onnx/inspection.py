"""Figures of each operator of an .onnx: shapes, types, work, bytes and parameters.

The library that infers shapes is C++ and may crash on a file: it runs in a process of its own.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from converters.inspection import ModelFigures, OperatorFigures, OperatorTensorUse
from converters.onnx.proto import read_proto
from converters.onnx.work import OnnxWork, add_shapes, count_in_process
from converters.parent_death import end_with_parent

#: Ops that read rows of their table only, which is their first input.
_TABLES = ("Gather",)


def onnx_figures(path: Path) -> ModelFigures:
    """Count the figures of each operator of the main graph of a file.

    Args:
        path: File that `converters.onnx.reader.read_onnx` accepted.

    Raises:
        ConversionError: Its shapes cannot be inferred.
    """
    plain = count_in_process("converters.onnx.inspection", path)
    tuples = {name: tuple(value) for name, value in plain.items() if isinstance(value, list)}
    operators = tuple(map(_operator_from_plain, plain["operators"]))
    return ModelFigures(**{**plain, **tuples, "operators": operators})


def _count(path: Path) -> ModelFigures:
    graph = OnnxWork(add_shapes(read_proto(path)))
    operators = tuple(
        _operator(graph, number, node, work.layer, work.macs)
        for number, (node, work) in enumerate(zip(graph.nodes, graph.works(), strict=True))
    )
    return ModelFigures(
        operators=operators,
        parameters=graph.parameters(),
        macs=sum(operator.macs for operator in operators),
        uncounted=graph.list_uncounted(),
        peak_tensor_bytes=graph.peak_bytes(),
    )


def _operator(graph: OnnxWork, number: int, node: Any, layer: str, macs: int) -> OperatorFigures:
    inputs = tuple(_use(graph, name) for name in node.input if name)
    outputs = tuple(_use(graph, name) for name in node.output if name)
    written = sum(tensor.bytes for tensor in outputs)
    is_table = node.op_type in _TABLES
    return OperatorFigures(
        subgraph=0,
        number=number,
        op=f"{node.domain}.{node.op_type}" if node.domain else node.op_type,
        version=graph.opsets.get(node.domain, 0),
        layer=layer,
        inputs=inputs,
        outputs=outputs,
        macs=macs,
        bytes_read=sum(
            min(tensor.bytes, written) if is_table and not i else tensor.bytes
            for i, tensor in enumerate(inputs)
        ),
        bytes_written=written,
        parameters=graph.parameters([node]),
    )


def _use(graph: OnnxWork, name: str) -> OperatorTensorUse:
    return OperatorTensorUse(
        name, graph.shapes.get(name, ()), graph.dtype(name), name in graph.stored, graph.bytes(name)
    )


def _operator_from_plain(plain: dict[str, Any]) -> OperatorFigures:
    sides = {
        side: tuple(
            OperatorTensorUse(**{**use, "shape": tuple(use["shape"])}) for use in plain[side]
        )
        for side in ("inputs", "outputs")
    }
    return OperatorFigures(**{**plain, **sides})


if __name__ == "__main__":
    end_with_parent(int(sys.argv[2]))
    sys.stdout.write(json.dumps(asdict(_count(Path(sys.argv[1])))))
