"""The cost of a .tflite, counted from the file alone: work, memory, weights, bytes to send.

The file must have gone through `converters.tflite.reader.read_model`, which refuses damaged ones.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters.model_file import Cost
from converters.tflite.loops import count_trips
from converters.tflite.subgraph import RECURRENT, Subgraph, present

#: The constants of these ops are parameters; those of others are shapes, axes and paddings.
_WITH_PARAMETERS = {
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "TRANSPOSE_CONV",
    *("CONV_3D", "CONV_3D_TRANSPOSE"),
    "FULLY_CONNECTED",
    "BATCH_MATMUL",
    *("ADD", "SUB", "MUL", "DIV", "PRELU", "DEQUANTIZE", "DENSIFY"),
    *("EMBEDDING_LOOKUP", "GATHER"),
    *RECURRENT,
}
#: Ops whose stored integers are counters and indices.
_PLAIN_INTEGERS = {"ADD", "SUB", "MUL", "DIV", "GATHER", "EMBEDDING_LOOKUP"}
#: Ops whose first input is the shape of their output.
_SHAPE_FIRST = ("TRANSPOSE_CONV", "CONV_3D_TRANSPOSE")
#: Ops that may multiply, in an amount that nobody can count from the file.
_UNCOUNTED = {"CUSTOM", "CALL", "STABLEHLO_CUSTOM_CALL", "DELEGATE"}
#: Best compression of zlib, and of gzip.
_LEVEL = 9
#: Deepest nesting of subgraphs that is counted: a damaged file may name itself.
_DEEPEST = 8


def cost_of(path: Path) -> Cost:
    """Count what a file costs: its first subgraph, and those that this one runs."""
    content = path.read_bytes()
    model = ModelWork(schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0)))
    main = model.work(0)
    kernels = {
        buffer: (values, axis)
        for graph in model.graphs.values()
        for buffer, values, axis in graph.kernels()
    }.values()
    zeros = sum(int((kernel == 0).sum()) for kernel, _ in kernels)
    total = sum(kernel.size for kernel, _ in kernels)
    return Cost(
        parameters=model.parameters(),
        macs=main.macs,
        uncounted=tuple(sorted(main.uncounted)),
        peak_tensor_bytes=main.peak_bytes + model.variable_bytes(),
        compressed_bytes=len(zlib.compress(content, _LEVEL)),
        sparsity=zeros / total if total else 0.0,
        distinct_weights=max((len(np.unique(kernel)) for kernel, _ in kernels), default=0),
        distinct_per_channel=max(
            (len(np.unique(channel)) for kernel, axis in kernels if kernel.ndim > 1
             for channel in np.moveaxis(kernel, axis, 0)),
            default=0,
        ),
    )  # fmt: skip


@dataclass(frozen=True)
class SubgraphWork:
    """Work of a subgraph that runs once."""

    macs: int
    uncounted: frozenset[str]
    peak_bytes: int


class ModelWork:
    """The subgraphs of a file that the first one runs."""

    def __init__(self, model: Any) -> None:
        """Begin with no subgraph.

        Args:
            model: Object of the schema, of a file that was read.
        """
        self._model = model
        self.graphs: dict[int, Subgraph] = {}
        self._work: dict[tuple[int, int], SubgraphWork] = {}

    def work(self, position: int, depth: int = 0) -> SubgraphWork:
        """Count the work of a subgraph and of those that it runs; each is counted once a depth."""
        if (position, depth) not in self._work:
            self._work[position, depth] = self._count(position, depth)
        return self._work[position, depth]

    def _count(self, position: int, depth: int) -> SubgraphWork:
        graph = self.graphs.setdefault(position, Subgraph(self._model, position))
        macs, uncounted, inner = 0, set[str](), [0] * len(graph.operators)
        for number, (name, op) in enumerate(graph.operators):
            macs += graph.macs(name, op)
            if name in _UNCOUNTED:
                uncounted.add(name)
            parts = [
                self.work(part, depth + 1)
                for part in _parts(name, op)
                if depth < _DEEPEST and 0 <= part < len(self._model.subgraphs)
            ]
            if not parts:
                continue
            inner[number] = max(part.peak_bytes for part in parts)
            uncounted |= frozenset[str]().union(*(part.uncounted for part in parts))
            if name == "WHILE":
                condition, body = (self.graphs[part] for part in _parts(name, op))
                trips = count_trips(graph, op, condition, body)
                if trips is None:
                    uncounted.add(name)
                    macs += sum(part.macs for part in parts)
                else:  # the condition is computed once more: it then does not hold
                    macs += parts[0].macs * (trips + 1) + parts[1].macs * trips
            else:
                macs += max(part.macs for part in parts)
                if name == "IF":
                    uncounted.add(name)
        return SubgraphWork(macs, frozenset(uncounted), _peak_bytes(graph, inner))

    def parameters(self) -> int:
        """Elements of all constants that were learned, each buffer once."""
        learned: dict[int, int] = {}
        for graph in self.graphs.values():
            for name, op in graph.operators:
                learned |= parameters_of(graph, name, op)
        return sum(learned.values())

    def variable_bytes(self) -> int:
        """Size of all variable tensors, and of the resource variables that are read or written."""
        total = 0
        resources: dict[str, int] = {}
        for graph in self.graphs.values():
            handles: dict[int, str] = {}
            for name, op in graph.operators:
                if name == "VAR_HANDLE":
                    handles[int(op.outputs[0])] = str(op.builtinOptions.sharedName)
                elif name in ("READ_VARIABLE", "ASSIGN_VARIABLE"):
                    value = int(op.outputs[0] if name == "READ_VARIABLE" else op.inputs[1])
                    variable = handles.get(int(op.inputs[0]), "")
                    resources[variable] = max(resources.get(variable, 0), graph.bytes(value))
            total += graph.bytes_of_variables()
        return total + sum(resources.values())


def parameters_of(graph: Subgraph, name: str, op: Any) -> dict[int, int]:
    """Return number of values by number of the buffer, of the constants of an op that were learned.

    Args:
        graph: Subgraph of the operator.
        name: Name of the op.
        op: The schema's object.
    """
    if name not in _WITH_PARAMETERS:
        return {}
    return {
        graph.buffer(tensor): graph.size(tensor)
        for tensor in present(op.inputs[name in _SHAPE_FIRST :])
        if graph.is_constant(tensor) and not (name in _PLAIN_INTEGERS and graph.is_integer(tensor))
    }


def _parts(name: str, op: Any) -> list[int]:
    """Positions of the subgraphs that an operator runs in each inference."""
    options = op.builtinOptions
    if name == "WHILE" and options is not None:
        return [int(options.condSubgraphIndex), int(options.bodySubgraphIndex)]
    if name == "IF" and options is not None:
        return [int(options.thenSubgraphIndex), int(options.elseSubgraphIndex)]
    if name == "STABLEHLO_COMPOSITE":
        more = getattr(op, "builtinOptions2", None)
        return [] if more is None else [int(more.decompositionSubgraphIndex)]
    return []


def _peak_bytes(graph: Subgraph, inner: list[int]) -> int:
    """The most bytes of activations that are held while some operator runs.

    Args:
        graph: Subgraph.
        inner: Peak of the subgraphs that each operator runs.
    """
    last = len(graph.operators)
    born: dict[int, int] = dict.fromkeys(graph.inputs, 0)
    dies: dict[int, int] = dict.fromkeys([*graph.inputs, *graph.outputs], last)
    for position, (name, op) in enumerate(graph.operators):
        held = name in ("DEQUANTIZE", "DENSIFY") and graph.is_constant(int(op.inputs[0]))
        for index in present(op.outputs):
            # A stored kernel is unpacked once and kept.
            born[index] = 0 if held else min(born.get(index, position), position)
            dies[index] = last if held else max(dies.get(index, position), position)
        for index in present(op.inputs):
            dies[index] = max(dies.get(index, position), position)
    change = [0] * (last + 2)
    for index, begin in born.items():
        if not graph.is_constant(index) and not graph.is_variable(index):
            change[begin] += graph.bytes(index)
            change[dies[index] + 1] -= graph.bytes(index)
    held_bytes = accumulate(change[: last + 1])
    return max(held + part for held, part in zip(held_bytes, [*inner, 0], strict=True))
