"""The cost of a .tflite, counted from the file alone: work, memory, weights, bytes to send.

The file must have gone through `converters.tflite.reader.read_model`, which refuses damaged ones.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

Array = npt.NDArray[Any]

_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")
}
#: The constants of these ops are parameters; those of others are shapes, axes and paddings.
_WITH_PARAMETERS = {
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "TRANSPOSE_CONV",
    "CONV_3D",
    "FULLY_CONNECTED",
    "BATCH_MATMUL",
    *("ADD", "SUB", "MUL", "DIV", "PRELU", "DEQUANTIZE", "EMBEDDING_LOOKUP"),
    *("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "UNIDIRECTIONAL_SEQUENCE_RNN", "SVDF"),
}
#: Ops that multiply, but in an amount that is not counted here.
_UNCOUNTED = {
    *("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM"),
    *("UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN", "SVDF"),
    *("WHILE", "IF", "CALL", "CUSTOM"),
}
#: Position of an op's kernel among its inputs, and the axis of its channels, each with a scale.
_KERNELS = {
    "CONV_2D": (1, 0),
    "DEPTHWISE_CONV_2D": (1, 3),
    "TRANSPOSE_CONV": (1, 0),
    "FULLY_CONNECTED": (1, 0),
}
_DTYPES: dict[int, np.dtype[Any]] = {
    schema.TensorType.FLOAT32: np.dtype("<f4"),
    schema.TensorType.FLOAT16: np.dtype("<f2"),
    schema.TensorType.INT8: np.dtype("i1"),
    schema.TensorType.UINT8: np.dtype("u1"),
    schema.TensorType.INT16: np.dtype("<i2"),
    schema.TensorType.INT32: np.dtype("<i4"),
    schema.TensorType.INT64: np.dtype("<i8"),
    schema.TensorType.BOOL: np.dtype("?"),
}
#: Best compression of zlib, and of gzip.
_LEVEL = 9


@dataclass(frozen=True)
class Cost:
    """The cost of a .tflite."""

    parameters: int
    """Numbers that were learned: kernels, biases and other operands that are stored."""
    macs: int
    """Multiply-accumulates of one inference, in convolutions and products of matrices."""
    uncounted: tuple[str, ...]
    """Ops that multiply too, but are not in `macs`."""
    peak_tensor_bytes: int
    """The most bytes of activations that are held at one time, when each is freed after its last
    use, and inputs and outputs are kept as TFLite's arena keeps them; without alignment and without
    what kernels take for themselves."""
    compressed_bytes: int
    """Size of the file compressed by zlib at level 9: the cost of an update over the air."""
    sparsity: float
    """Share of zeros in the kernels of convolutions and Dense layers, 0-1."""
    distinct_weights: int
    """Distinct values in the kernel that has the most."""
    distinct_per_channel: int
    """The same in a single channel, as each channel has its own scale."""


def cost_of(path: Path) -> Cost:
    """Count what a file costs; only the first subgraph is looked at."""
    content = path.read_bytes()
    graph = _Graph(schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0)))
    kernels = list(graph.kernels())
    zeros = sum(int((kernel == 0).sum()) for kernel, _ in kernels)
    total = sum(kernel.size for kernel, _ in kernels)
    return Cost(
        parameters=graph.parameters(),
        macs=sum(graph.macs(name, op) for name, op in graph.operators),
        uncounted=tuple(sorted({name for name, _ in graph.operators} & _UNCOUNTED)),
        peak_tensor_bytes=graph.peak_bytes(),
        compressed_bytes=len(zlib.compress(content, _LEVEL)),
        sparsity=zeros / total if total else 0.0,
        distinct_weights=max((len(np.unique(kernel)) for kernel, _ in kernels), default=0),
        distinct_per_channel=max(
            (len(np.unique(channel)) for kernel, axis in kernels
             for channel in np.moveaxis(kernel, axis, 0)),
            default=0,
        ),
    )  # fmt: skip


class _Graph:
    """The first subgraph."""

    def __init__(self, model: Any) -> None:
        graph = model.subgraphs[0]
        self.tensors = graph.tensors
        self._buffers = model.buffers or []
        self.inputs = [int(i) for i in _numbers(graph.inputs)]
        self.outputs = [int(i) for i in _numbers(graph.outputs)]
        codes = [
            _NAMES.get(max(code.builtinCode, code.deprecatedBuiltinCode), "unknown")
            for code in model.operatorCodes or []
        ]
        self.operators = [(codes[op.opcodeIndex], op) for op in graph.operators or []]

    def constant(self, index: int) -> Array | None:
        """The values of a tensor that the file stores, or None."""
        tensor = self.tensors[index]
        data = self._buffers[tensor.buffer].data if tensor.buffer else None
        dtype = _DTYPES.get(tensor.type)
        if data is None or not len(data) or dtype is None:
            return None
        values: Array = np.frombuffer(bytes(bytearray(data)), dtype)
        shape = self.shape(index)
        return values.reshape(shape) if values.size == int(np.prod(shape)) else values

    def shape(self, index: int) -> tuple[int, ...]:
        """Shape of a tensor; a dynamic axis counts as 1."""
        return tuple(max(1, int(axis)) for axis in _numbers(self.tensors[index].shape))

    def bytes(self, index: int) -> int:
        """Size of a tensor's values; 0 where the type has no fixed size."""
        dtype = _DTYPES.get(self.tensors[index].type)
        return int(np.prod(self.shape(index))) * dtype.itemsize if dtype is not None else 0

    def parameters(self) -> int:
        """Elements of all constants that were learned, each tensor once."""
        learned = {
            index
            for name, op in self.operators
            if name in _WITH_PARAMETERS
            for index in _present(op.inputs)
            if self.constant(index) is not None
        }
        return sum(int(np.prod(self.shape(index))) for index in learned)

    def kernels(self) -> Iterator[tuple[Array, int]]:
        """Each stored kernel once, with its channel axis."""
        # A float16 kernel reaches its op through a DEQUANTIZE.
        origin = {
            int(op.outputs[0]): int(op.inputs[0])
            for name, op in self.operators
            if name == "DEQUANTIZE"
        }
        counted_kernels: set[int] = set()
        for name, op in self.operators:
            if name not in _KERNELS:
                continue
            position, axis = _KERNELS[name]
            index = int(op.inputs[position])
            index = origin.get(index, index)
            values = self.constant(index)
            if index not in counted_kernels and values is not None and values.ndim > axis:
                counted_kernels.add(index)
                yield values - values.dtype.type(self._zero_point(index)), axis

    def _zero_point(self, index: int) -> int:
        """Integer that stands for 0.0 in a kernel; not 0 in old uint8 files only."""
        quantization = self.tensors[index].quantization
        points = _numbers(quantization.zeroPoint) if quantization is not None else []
        return points[0] if points else 0

    def macs(self, name: str, op: Any) -> int:
        """Multiply-accumulates of one operator; 0 for ops that do no products of matrices."""
        if name not in (*_KERNELS, "CONV_3D", "BATCH_MATMUL"):
            return 0
        inputs, output = list(op.inputs), self.shape(int(op.outputs[0]))
        weights = self.shape(int(inputs[1]))
        output_size = int(np.prod(output))
        if name == "CONV_2D":  # kernel (out, height, width, in)
            return output_size * int(np.prod(weights[1:]))
        if name == "DEPTHWISE_CONV_2D":  # kernel (1, height, width, out)
            return output_size * weights[1] * weights[2]
        if name == "TRANSPOSE_CONV":  # kernel (out, height, width, in); each input is spread
            return int(np.prod(self.shape(int(inputs[2])))) * int(np.prod(weights[:3]))
        if name == "CONV_3D":  # kernel (depth, height, width, in, out)
            return output_size * int(np.prod(weights[:4]))
        if name == "FULLY_CONNECTED":  # kernel (out, in)
            return output_size * weights[-1]
        first = self.shape(int(inputs[0]))
        adjoint = bool(getattr(op.builtinOptions, "adjX", False))
        return output_size * first[-2 if adjoint else -1]

    def peak_bytes(self) -> int:
        """The most bytes of activations that are held while some operator runs."""
        last = len(self.operators)
        born: dict[int, int] = dict.fromkeys(self.inputs, 0)
        dies: dict[int, int] = dict.fromkeys([*self.inputs, *self.outputs], last)
        for position, (name, op) in enumerate(self.operators):
            held = name == "DEQUANTIZE" and self.constant(int(op.inputs[0])) is not None
            for index in _present(op.outputs):
                # A stored kernel is dequantized once and kept.
                born[index] = 0 if held else min(born.get(index, position), position)
                dies[index] = last if held else max(dies.get(index, position), position)
            for index in _present(op.inputs):
                dies[index] = max(dies.get(index, position), position)
        change = [0] * (last + 2)
        for index, begin in born.items():
            if self.constant(index) is None:
                change[begin] += self.bytes(index)
                change[dies[index] + 1] -= self.bytes(index)
        return int(np.max(np.cumsum(change)))


def _numbers(values: Any) -> list[int]:
    return [] if values is None else [int(value) for value in values]


def _present(indices: Any) -> list[int]:
    """Tensor indices without the -1 of an optional input that was left out."""
    return [index for index in _numbers(indices) if index >= 0]
