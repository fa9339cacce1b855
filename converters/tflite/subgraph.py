"""One subgraph of a .tflite, for counting: constants, shapes, and the work of its operators."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

Array = npt.NDArray[Any]

_TYPE = schema.TensorType
_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")
}
_DTYPE_NAMES = {
    code: name.lower() for name, code in vars(_TYPE).items() if not name.startswith("_")
}
#: Position of an op's kernel among its inputs, and the axis of its channels, each with a scale.
KERNELS = {
    "CONV_2D": (1, 0),
    "DEPTHWISE_CONV_2D": (1, 3),
    "TRANSPOSE_CONV": (1, 0),
    "FULLY_CONNECTED": (1, 0),
}
#: Ops whose stored matrices are each multiplied once for every step of their input.
RECURRENT = (
    *("LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM", "BIDIRECTIONAL_SEQUENCE_LSTM", "SVDF"),
    *("RNN", "UNIDIRECTIONAL_SEQUENCE_RNN", "BIDIRECTIONAL_SEQUENCE_RNN"),
)
#: Ops that only change how a stored kernel is written.
_UNPACKING = ("DEQUANTIZE", "DENSIFY")
_DTYPES: dict[int, np.dtype[Any]] = {
    _TYPE.FLOAT32: np.dtype("<f4"),
    _TYPE.FLOAT16: np.dtype("<f2"),
    _TYPE.FLOAT64: np.dtype("<f8"),
    _TYPE.BFLOAT16: np.dtype("<u2"),
    _TYPE.INT8: np.dtype("i1"),
    _TYPE.UINT8: np.dtype("u1"),
    _TYPE.INT16: np.dtype("<i2"),
    _TYPE.UINT16: np.dtype("<u2"),
    _TYPE.INT32: np.dtype("<i4"),
    _TYPE.UINT32: np.dtype("<u4"),
    _TYPE.INT64: np.dtype("<i8"),
    _TYPE.UINT64: np.dtype("<u8"),
    _TYPE.BOOL: np.dtype("?"),
    _TYPE.COMPLEX64: np.dtype("<c8"),
    _TYPE.COMPLEX128: np.dtype("<c16"),
}
#: Bits of each value of the types of which a byte holds several, the first in its low bits.
_PACKED = {_TYPE.INT4: 4, _TYPE.UINT4: 4, _TYPE.INT2: 2}


class Subgraph:
    """One subgraph of a file that went through `converters.tflite.reader.read_model`."""

    inputs: list[int]
    """Positions of the input tensors."""
    outputs: list[int]
    """Positions of the output tensors."""
    operators: list[tuple[str, Any]]
    """Name of each operator and the schema's object, in the order in which they run."""

    def __init__(self, model: Any, position: int) -> None:
        graph = model.subgraphs[position]
        self._tensors = graph.tensors or []
        self._buffers = model.buffers or []
        self.inputs = numbers(graph.inputs)
        self.outputs = numbers(graph.outputs)
        builtins = [
            max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes or []
        ]
        codes = [str(_NAMES.get(builtin, f"op code {builtin}")) for builtin in builtins]
        self.operators = [(codes[op.opcodeIndex], op) for op in graph.operators or []]

    def name(self, tensor: int) -> str:
        """Return the name of a tensor."""
        raw = self._tensors[tensor].name
        return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw or "")

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Return the shape of a tensor; a dynamic axis counts as 1."""
        return tuple(max(1, axis) if axis else 0 for axis in numbers(self._tensors[tensor].shape))

    def size(self, tensor: int) -> int:
        """Return the number of values of a tensor; a dynamic axis counts as 1."""
        return math.prod(self.shape(tensor))

    def dtype(self, tensor: int) -> str:
        """Return the name of a tensor's type, such as "int8"."""
        return str(_DTYPE_NAMES.get(self._tensors[tensor].type, "unknown"))

    def bytes(self, tensor: int) -> int:
        """Return the size of a tensor's values; 0 where the type has no fixed size."""
        kind = self._tensors[tensor].type
        if kind in _PACKED:
            return (self.size(tensor) * _PACKED[kind] + 7) // 8
        return self.size(tensor) * _DTYPES[kind].itemsize if kind in _DTYPES else 0

    def bits(self, tensor: int) -> int:
        """Return the bits of each stored value; 0 where the type has no fixed size."""
        kind = self._tensors[tensor].type
        return (
            _PACKED[kind]
            if kind in _PACKED
            else 8 * _DTYPES[kind].itemsize
            if kind in _DTYPES
            else 0
        )

    def is_integer(self, tensor: int) -> bool:
        """Whether a tensor holds integers that are no quantized numbers, such as a counter."""
        return self._tensors[tensor].type in (_TYPE.INT32, _TYPE.INT64)

    def is_variable(self, tensor: int) -> bool:
        """Whether a tensor keeps its values from one inference to the next."""
        return bool(self._tensors[tensor].isVariable)

    def bytes_of_variables(self) -> int:
        """Return the size of all variable tensors."""
        variables = [i for i, tensor in enumerate(self._tensors) if tensor.isVariable]
        return sum(self.bytes(i) for i in variables)

    def buffer(self, tensor: int) -> int:
        """Return the number of the buffer that stores a tensor's values; tensors may share it."""
        return int(self._tensors[tensor].buffer)

    def is_constant(self, tensor: int) -> bool:
        """Whether the file stores a tensor's values."""
        buffer = self._buffers[self._tensors[tensor].buffer] if self.buffer(tensor) else None
        if buffer is None:
            return False
        return bool(buffer.size) or (buffer.data is not None and len(buffer.data) > 0)

    def constant(self, tensor: int) -> Array | None:
        """Return the values of a tensor that the file stores, or None.

        Returns:
            Array of the tensor's type, 4 and 2 bits as int8, and of its shape; of a sparse tensor
            its stored values alone, shape (n,). None also for values that follow the FlatBuffer.
        """
        kind = self._tensors[tensor].type
        data = self._buffers[self.buffer(tensor)].data if self.buffer(tensor) else None
        if data is None or not len(data):
            return None
        raw = np.asarray(data, np.uint8)  # no copy: many tensors may name one buffer
        if kind in _PACKED:
            values: Array = _unpack(raw, _PACKED[kind], kind != _TYPE.UINT4)[: self.size(tensor)]
        elif kind in _DTYPES:
            values = raw.view(_DTYPES[kind]) if raw.size % _DTYPES[kind].itemsize == 0 else raw[:0]
        else:
            return None
        return values.reshape(self.shape(tensor)) if values.size == self.size(tensor) else values

    def kernels(self) -> Iterator[tuple[int, Array, int]]:
        """Yield the stored kernels.

        Yields:
            Number of the buffer, values in the kernel's shape and type (of a sparse one shape (n,),
            the stored values first, then the zeros), and channel axis.
        """
        for tensor, values, axis in self.named_kernels():
            if values.ndim > axis:
                yield self.buffer(tensor), values, axis

    def named_kernels(self) -> Iterator[tuple[int, Array, int]]:
        """Yield the stored kernels with the position of their tensors.

        Yields:
            Position of the tensor, values in the kernel's shape and type (of a sparse one shape
            (n,), the stored values first, then the zeros), and channel axis.
        """
        origin = {
            int(op.outputs[0]): int(op.inputs[0])
            for name, op in self.operators
            if name in _UNPACKING
        }
        for name, op in self.operators:
            if name not in KERNELS:
                continue
            position, axis = KERNELS[name]
            tensor = int(op.inputs[position])
            while tensor in origin:
                tensor = origin[tensor]
            values = self.constant(tensor)
            if values is None:
                continue
            missing = self.size(tensor) - values.size
            values = values - values.dtype.type(self._zero_point(tensor))
            if missing > 0:  # the zeros of a sparse kernel; where they are is not needed
                yield tensor, np.append(values, np.zeros(missing, values.dtype)), 0
            else:
                yield tensor, values, axis

    def _zero_point(self, tensor: int) -> int:
        """Integer that stands for 0.0 in a kernel; not 0 in old uint8 files only."""
        quantization = self._tensors[tensor].quantization
        points = numbers(quantization.zeroPoint) if quantization is not None else []
        return points[0] if points else 0

    def macs(self, name: str, op: Any) -> int:
        """Return the multiply-accumulates of one operator; 0 for ops without products of matrices.

        Args:
            name: Name of the op.
            op: The schema's object.
        """
        if name in RECURRENT:
            steps = math.prod(self.shape(int(op.inputs[0]))[:-1])
            matrices = [i for i in present(op.inputs)[1:] if len(self.shape(i)) == 2]
            return steps * sum(self.size(i) for i in matrices if not self.is_variable(i))
        if name not in (*KERNELS, "CONV_3D", "CONV_3D_TRANSPOSE", "BATCH_MATMUL"):
            return 0
        inputs, output_size = numbers(op.inputs), self.size(int(op.outputs[0]))
        weights: tuple[int, ...] = self.shape(inputs[1])
        if name == "CONV_2D":  # kernel (out, height, width, in)
            return output_size * math.prod(weights[1:])
        if name == "DEPTHWISE_CONV_2D":  # kernel (1, height, width, out)
            return output_size * weights[1] * weights[2]
        if name == "TRANSPOSE_CONV":  # kernel (out, height, width, in); each input is spread
            return self.size(inputs[2]) * math.prod(weights[:3])
        if name == "CONV_3D":  # kernel (depth, height, width, in, out)
            return output_size * math.prod(weights[:4])
        if name == "CONV_3D_TRANSPOSE":  # kernel (depth, height, width, out, in)
            return self.size(inputs[2]) * math.prod(weights[:4])
        if name == "FULLY_CONNECTED":  # kernel (out, in)
            return output_size * weights[-1]
        first = self.shape(inputs[0])
        adjoint = bool(getattr(op.builtinOptions, "adjX", False))
        return output_size * first[-2 if adjoint else -1]


def numbers(values: Any) -> list[int]:
    """Return the integers of a list of the schema, which may be absent."""
    return [] if values is None else [int(value) for value in values]


def present(indices: Any) -> list[int]:
    """Return tensor indices without the -1 of an optional input that was left out."""
    return [index for index in numbers(indices) if index >= 0]


def _unpack(raw: npt.NDArray[np.uint8], bits: int, is_signed: bool) -> npt.NDArray[np.int8]:
    """Values of which a byte holds several, the first in its low bits."""
    shifts = np.arange(0, 8, bits, dtype=np.uint8)
    values = ((raw[:, None] >> shifts) & ((1 << bits) - 1)).reshape(-1).astype(np.int8)
    if is_signed:
        values[values >= 1 << (bits - 1)] -= np.int8(1 << bits)
    return values
