"""Work, weights and memory of an .onnx, counted from its shapes.

The library that infers shapes is C++ and may crash on a file: what a user brings is counted in a
process of its own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.errors import ConversionError
from converters.model_file import Cost, KernelFigures, OperatorWork
from converters.onnx.proto import read_proto
from converters.onnx.reader import every_graph
from converters.onnx.tensor_types import DTYPES, bits_of, tensor_bytes
from converters.parent_death import end_with_parent

#: Position of the weights among the inputs of an op, and the axis of their channels.
KERNELS = {
    "Conv": (1, 0),
    "ConvTranspose": (1, 1),
    "Gemm": (1, 0),
    "MatMul": (1, -1),
    "QLinearConv": (3, 0),
    "QLinearMatMul": (3, -1),
    "ConvInteger": (1, 0),
    "MatMulInteger": (1, -1),
}
_RECURRENT = ("LSTM", "GRU", "RNN")
#: Positions of the parameters among the inputs of ops with other constants, too: scales, zero
#: points, lengths of sequences, initial states, indices.
_PLACES = {
    "QLinearConv": (3, 8),
    "QLinearMatMul": (0, 3),
    **dict.fromkeys(("ConvInteger", "MatMulInteger"), (0, 1)),
    **dict.fromkeys(_RECURRENT, (1, 2, 3, 7)),
    "Gather": (0,),
}
#: Ops whose stored integers are counters, indices and shapes.
_PLAIN_INTEGERS = ("Add", "Sub", "Mul", "Div", "Gather")
#: The constants of these ops are parameters, too; those of others are shapes, axes and scales.
_WITH_PARAMETERS = {*KERNELS, *_RECURRENT, "Add", "Sub", "Mul", "Div", "PRelu", "Gather"} | {
    "BatchNormalization",
    "LayerNormalization",
    "InstanceNormalization",
}
#: Ops that multiply an amount that nobody can count from the file.
_UNCOUNTED = ("If", "Loop", "Scan", "Einsum")
#: Ops that only change how a stored number is written.
_CASTS = ("DequantizeLinear", "Cast", "Identity", "Transpose", "Reshape")
_LEVEL = 9
#: Longest time that counting a file of 2 GiB takes, with much to spare.
_LONGEST_S = 120.0


def count_onnx_works(path: Path) -> tuple[OperatorWork, ...]:
    """Return the operators of a file that was read, in the order in which they run.

    Args:
        path: File that went through `converters.onnx.reader.read_onnx`. It is counted in a process
            of its own.

    Raises:
        ConversionError: Its shapes cannot be inferred.
    """
    return tuple(OperatorWork(**work) for work in count_in_process("converters.onnx.work", path))


def count_in_process(module: str, path: Path) -> Any:
    """Run a module of this room on a file in a process of its own, as shape inference may crash.

    Args:
        module: Module that prints JSON; its arguments are the file and the id of this process.
        path: File that went through `converters.onnx.reader.read_onnx`.

    Returns:
        The JSON that it prints.

    Raises:
        ConversionError: Its shapes cannot be inferred.
    """
    command = [sys.executable, "-m", module, str(path.resolve()), str(os.getpid())]
    folder = Path(__file__).parents[2]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=_LONGEST_S)
    except subprocess.TimeoutExpired:
        done = None
    if done is None or done.returncode:
        raise ConversionError(
            f"{path}: the shapes of its tensors cannot be inferred", "Export the model again."
        )
    return json.loads(done.stdout)


def cost_of_onnx(path: Path) -> Cost:
    """Count what an .onnx that kedge wrote costs: its main graph.

    Args:
        path: File that went through `converters.onnx.reader.read_onnx`.
    """
    content = path.read_bytes()
    graph = OnnxWork(add_shapes(read_proto(path)))
    kernels = [(values, axis) for _, values, axis in graph.kernels()]
    zeros = sum(int((values == 0).sum()) for values, _ in kernels)
    total = sum(values.size for values, _ in kernels)
    per_channel = (
        len(np.unique(channel))
        for values, axis in kernels
        if values.ndim > 1
        for channel in np.moveaxis(values, axis, 0)
    )
    return Cost(
        parameters=graph.parameters(),
        macs=sum(work.macs for work in graph.works()),
        uncounted=graph.list_uncounted(),
        peak_tensor_bytes=graph.peak_bytes(),
        compressed_bytes=len(zlib.compress(content, _LEVEL)),
        sparsity=zeros / total if total else 0.0,
        distinct_weights=max((len(np.unique(values)) for values, _ in kernels), default=0),
        distinct_per_channel=max(per_channel, default=0),
    )


def onnx_kernel_figures(path: Path) -> tuple[KernelFigures, ...]:
    """Return the stored kernels of a file that was read, each once, in the order of their use.

    Args:
        path: File that went through `converters.onnx.reader.read_onnx`.
    """
    graph = OnnxWork(read_proto(path))
    return tuple(
        KernelFigures(
            name,
            bits_of(DTYPES[graph.stored[name].data_type]),
            values.size,
            float((values == 0).mean()) if values.size else 0.0,
        )
        for name, values, _ in graph.kernels()
    )


def add_shapes(proto: Any) -> Any:
    """Return a model with the shapes of its tensors, as far as they can be inferred."""
    from onnx.shape_inference import infer_shapes

    return infer_shapes(proto, data_prop=True)


class OnnxWork:
    """Main graph of a model, with the shapes that are in it."""

    nodes: list[Any]
    """Its operators, in the order in which they run."""
    stored: dict[str, Any]
    """Constant tensors by name."""
    shapes: dict[str, tuple[int, ...]]
    """Shape of each tensor by name, 1 where an axis is dynamic."""
    opsets: dict[str, int]
    """Domain of ops to the version of them."""

    def __init__(self, proto: Any) -> None:
        """Read a model.

        Args:
            proto: Message of the model.
        """
        graph = proto.graph
        self.opsets = {entry.domain: int(entry.version) for entry in proto.opset_import}
        self.nodes = list(graph.node)
        self.inside = [node for inner in list(every_graph(graph))[1:] for node in inner.node]
        self.stored = {tensor.name: tensor for tensor in graph.initializer}
        self.outputs = [entry.name for entry in graph.output]
        self.inputs = [entry.name for entry in graph.input if entry.name not in self.stored]
        self.shapes = {}
        self.dtypes: dict[str, str] = {}
        for entry in (*graph.input, *graph.value_info, *graph.output):
            tensor = entry.type.tensor_type
            self.shapes[entry.name] = tuple(axis.dim_value or 1 for axis in tensor.shape.dim)
            self.dtypes[entry.name] = DTYPES.get(tensor.elem_type, "")
        for name, tensor in self.stored.items():
            self.shapes[name] = tuple(tensor.dims)
            self.dtypes[name] = DTYPES.get(tensor.data_type, "")
        self._maker = {name: node for node in self.nodes for name in node.output}

    def works(self) -> Iterator[OperatorWork]:
        """Yield the work of each operator."""
        for node in self.nodes:
            yield OperatorWork(node.op_type, node.name, self._macs(node))

    def dtype(self, name: str) -> str:
        """Return the type of a tensor, such as "int8"; "unknown" where it cannot be inferred."""
        return self.dtypes.get(name) or "unknown"

    def bytes(self, name: str) -> int:
        """Return the size of a tensor's values; 0 where its shape or type is not known."""
        if name not in self.shapes or not self.dtypes.get(name):
            return 0
        return tensor_bytes(self.shapes[name], self.dtypes[name])

    def list_uncounted(self) -> tuple[str, ...]:
        """Return the ops that multiply an amount that nobody can count from the file."""
        return tuple(sorted({n.op_type for n in self.nodes if n.op_type in _UNCOUNTED}))

    def _size(self, name: str) -> int:
        return int(np.prod(self.shapes.get(name, ()), dtype=np.int64)) if name else 0

    def _macs(self, node: Any) -> int:
        op = node.op_type
        if op in _RECURRENT and len(node.input) > 2:
            steps = int(np.prod(self.shapes.get(node.input[0], ())[:2], dtype=np.int64))
            return steps * (self._size(node.input[1]) + self._size(node.input[2]))
        if op not in KERNELS or len(node.input) <= KERNELS[op][0] or not node.output:
            return 0
        weights = self.shapes.get(node.input[KERNELS[op][0]], ())
        if not weights:
            return 0
        if op == "ConvTranspose":
            return self._size(node.input[0]) * int(np.prod(weights[1:], dtype=np.int64))
        outputs = self._size(node.output[0])
        if "Conv" in op:
            return outputs * int(np.prod(weights[1:], dtype=np.int64))
        if op == "Gemm":
            turned = any(a.name == "transB" and a.i for a in node.attribute)
            return outputs * weights[-1 if turned else 0]
        return outputs * (weights[-2] if len(weights) > 1 else weights[0])

    def _origin(self, name: str) -> str:
        """Name of the stored tensor that a tensor is made of, or its own name."""
        seen = set()
        while name in self._maker and self._maker[name].op_type in _CASTS and name not in seen:
            seen.add(name)
            name = self._maker[name].input[0] if self._maker[name].input else ""
        return name

    def kernels(self) -> Iterator[tuple[str, npt.NDArray[Any], int]]:
        """Yield the kernels of convolutions and products.

        Yields:
            Name of the kernel, values in its shape and type (an array of any shape), and the axis
            of its channels.
        """
        from onnx.numpy_helper import to_array

        seen = set()
        for node in self.nodes:
            place, axis = KERNELS.get(node.op_type, (len(node.input), 0))
            name = self._origin(node.input[place]) if place < len(node.input) else ""
            if name in self.stored and name not in seen:
                seen.add(name)
                try:
                    values = to_array(self.stored[name])
                except (ValueError, TypeError):  # fewer values than its shape says
                    continue
                yield name, values, axis if values.ndim > 1 else 0

    def parameters(self, nodes: Sequence[Any] | None = None) -> int:
        """Elements of all constants that were learned, each once.

        Args:
            nodes: Operators whose constants count; None for all.
        """
        names = {
            self._origin(name)
            for node in (self.nodes if nodes is None else nodes)
            if node.op_type in _WITH_PARAMETERS
            for place, name in enumerate(node.input)
            if place in _PLACES.get(node.op_type, (place,))
            and not (node.op_type in _PLAIN_INTEGERS and self._is_plain_integer(name))
        }
        return sum(self._size(name) for name in names if name in self.stored)

    def _is_plain_integer(self, name: str) -> bool:
        """Whether a tensor is stored as integers that are no quantized numbers."""
        return name in self.stored and self.dtypes[name] in ("int32", "int64")

    def peak_bytes(self) -> int:
        """The most bytes of activations that are held at one time, each from its making to its use.

        What is made of stored values only is not counted: the runtime folds it.
        """
        last: dict[str, int] = {name: len(self.nodes) for name in (*self.outputs, *self.inputs)}
        for position, node in enumerate(self.nodes):
            for name in node.input:
                last[name] = max(last.get(name, 0), position)
        change = [0] * (len(self.nodes) + 2)
        born = dict.fromkeys(self.inputs, 0)
        for position, node in enumerate(self.nodes):
            if self._origin(node.output[0]) not in self.stored:
                born |= {name: position for name in node.output if name}
        for name, begin in born.items():
            size = tensor_bytes(self.shapes.get(name, ()), self.dtypes.get(name, "float32"))
            change[begin] += size
            change[last.get(name, begin) + 1] -= size
        return int(np.cumsum(change).max())


if __name__ == "__main__":
    end_with_parent(int(sys.argv[2]))
    model = OnnxWork(add_shapes(read_proto(Path(sys.argv[1]))))
    sys.stdout.write(json.dumps([asdict(work) for work in model.works()]))
