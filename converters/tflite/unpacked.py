"""A .tflite taken apart, to be changed and put together again."""

from __future__ import annotations

import copy
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from converters.errors import ConversionError
from converters.tensor_spec import TensorSpec
from converters.tflite.kernel_needs import Operand, least_version

Array = npt.NDArray[Any]

_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")
}
_DTYPES = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")
}
_FLOAT32 = schema.TensorType.FLOAT32
_IDENTIFIER = b"TFL3"


class UnpackedModel:
    """The first subgraph of a .tflite that went through `converters.tflite.reader.read_model`."""

    model: Any
    """The schema's own object."""
    tensors: list[Any]
    """Tensors of the schema."""
    operators: list[Any]
    """Operators of the schema, in the order in which they run."""
    inputs: list[int]
    """Positions of the input tensors."""
    outputs: list[int]
    """Positions of the output tensors."""

    def __init__(self, content: bytes) -> None:
        self.model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        for buffer in self.model.buffers or []:
            if (
                buffer.offset > 1
            ):  # values that follow the FlatBuffer; it is packed with them inside
                values = content[buffer.offset : buffer.offset + buffer.size]
                buffer.data, buffer.offset, buffer.size = np.frombuffer(values, np.uint8), 0, 0
        graph = self.model.subgraphs[0]
        self.tensors = graph.tensors
        self.operators = graph.operators or []
        for operator in self.operators:
            operator.inputs = [] if operator.inputs is None else operator.inputs
            operator.outputs = [] if operator.outputs is None else operator.outputs
        self.inputs = [int(i) for i in graph.inputs]
        self.outputs = [int(i) for i in graph.outputs]

    def pack(self) -> bytes:
        """Return the content of the file, without codes of ops that nothing computes."""
        operators = [op for graph in self.model.subgraphs for op in graph.operators or []]
        used = sorted({int(op.opcodeIndex) for op in operators})
        self.model.operatorCodes[:] = [self.model.operatorCodes[i] for i in used]
        for operator in operators:
            operator.opcodeIndex = used.index(operator.opcodeIndex)
        builder = flatbuffers.Builder(1024)
        builder.Finish(self.model.Pack(builder), _IDENTIFIER)
        return bytes(builder.Output())

    def op(self, operator: Any) -> str:
        """Return the name of an operator's builtin, such as "CONV_2D"."""
        code = self.model.operatorCodes[operator.opcodeIndex]
        return str(_NAMES.get(max(code.builtinCode, code.deprecatedBuiltinCode), "unknown"))

    def custom_name(self, operator: Any) -> str:
        """Return the name of a custom operator, such as "Convolution2DTransposeBias"."""
        raw = self.model.operatorCodes[operator.opcodeIndex].customCode or b""
        return (raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw))[:64]

    def name(self, tensor: int) -> str:
        """Return the name of a tensor."""
        raw = self.tensors[tensor].name
        return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw or "")

    def shape(self, tensor: int) -> tuple[int, ...]:
        """Return the shape of a tensor, for a batch of one."""
        shape = self.tensors[tensor].shape
        return () if shape is None else tuple(int(axis) for axis in shape)

    def spec(self, tensor: int) -> TensorSpec:
        """Return a tensor's name, shape and type, and its quantization where it has one scale."""
        quantization = self.tensors[tensor].quantization
        scales = [] if quantization is None or quantization.scale is None else quantization.scale
        scale = float(scales[0]) if len(scales) == 1 else None
        return TensorSpec(
            self.name(tensor),
            self.shape(tensor),
            _DTYPES[self.tensors[tensor].type],
            scale,
            None if scale is None else int(quantization.zeroPoint[0]),
        )

    def is_float(self, tensor: int) -> bool:
        """Whether a tensor holds 32-bit floats."""
        return bool(self.tensors[tensor].type == _FLOAT32)

    def constant(self, tensor: int) -> npt.NDArray[np.float32] | None:
        """Copy the floats that the file stores for a tensor.

        Returns:
            float32, in the tensor's shape; None where the file stores no floats for it.
        """
        data = self.model.buffers[self.tensors[tensor].buffer].data
        if data is None or not len(data) or not self.is_float(tensor):
            return None
        values: Array = np.frombuffer(bytes(bytearray(data)), "<f4")
        return values.reshape(self.shape(tensor)).copy()

    def is_stored(self, tensor: int) -> bool:
        """Whether the file stores the values of a tensor, of any type."""
        data = self.model.buffers[self.tensors[tensor].buffer].data
        return data is not None and len(data) > 0

    def integers(self, tensor: int) -> npt.NDArray[np.int32]:
        """Return the 32-bit integers that the file stores for a tensor, shape (n,)."""
        data = self.model.buffers[self.tensors[tensor].buffer].data
        return np.frombuffer(b"" if data is None else bytes(bytearray(data)), "<i4")

    def add_integers(self, values: list[int]) -> int:
        """Store 32-bit integers of one axis in a new tensor, and return its position."""
        buffer, tensor = schema.BufferT(), schema.TensorT()
        buffer.data = np.frombuffer(np.array(values, "<i4").tobytes(), np.uint8)
        self.model.buffers.append(buffer)
        tensor.name, tensor.shape = f"integers_{len(self.tensors)}", [len(values)]
        tensor.type, tensor.buffer = schema.TensorType.INT32, len(self.model.buffers) - 1
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def add_code(self, op: str) -> int:
        """Return the position of the operator code of a builtin, which is added if it is absent."""
        codes = self.model.operatorCodes
        builtin = getattr(schema.BuiltinOperator, op)
        for position, code in enumerate(codes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin:
                return position
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode = builtin, min(builtin, 127)
        code.version = 1
        codes.append(code)
        return len(codes) - 1

    def set_constant(self, tensor: int, values: Array) -> None:
        """Store other floats for a tensor, and for every tensor that shares its buffer.

        Args:
            tensor: Position of the tensor.
            values: Floats of any float type, in the tensor's shape.
        """
        raw = np.ascontiguousarray(values, "<f4").tobytes()
        buffer = self.model.buffers[self.tensors[tensor].buffer]
        buffer.data = np.frombuffer(raw, np.uint8)

    def is_taken(self, tensor: int) -> bool:
        """Whether an operator takes a tensor."""
        return any(int(i) == tensor for op in self.operators for i in op.inputs)

    def alias(self, tensor: int, other: int) -> None:
        """Let a tensor have the shape, type and values of another one; its name stays."""
        name = self.tensors[tensor].name
        self.tensors[tensor] = copy.copy(self.tensors[other])
        self.tensors[tensor].name = name

    def is_shared(self, tensor: int) -> bool:
        """Whether several operators take a tensor, or several tensors are one in the file."""
        buffers = Counter(t.buffer for t in self.tensors)
        uses = sum(int(i) == tensor for op in self.operators for i in op.inputs)
        return uses > 1 or buffers[self.tensors[tensor].buffer] > 1

    def activations(self) -> list[int]:
        """Return the positions of the float tensors that are inputs or computed, not stored."""
        computed = {*self.inputs, *(int(i) for op in self.operators for i in op.outputs)}
        return [
            i
            for i in sorted(computed)
            if self.is_float(i) and self.constant(i) is None and 0 not in self.shape(i)
        ]

    def border_casts(self) -> list[int]:
        """Return the positions of the float tensors that a CAST makes of an input of whole numbers.

        A QUANTIZE behind them brings them to integers: TFLite has no CAST that does it at once.
        """
        return [
            int(operator.outputs[0])
            for operator in self.operators
            if self.op(operator) == "CAST" and not self.is_float(int(operator.inputs[0]))
        ]

    def row_choosing_inputs(self) -> list[int]:
        """Return the positions of the float inputs that only choose rows of a table.

        A CAST makes whole numbers of them, so that rounding them would choose other rows.
        """
        choosing = {
            int(operator.inputs[0])
            for operator in self.operators
            if self.op(operator) == "CAST" and not self.is_float(int(operator.outputs[0]))
        }
        readers = Counter(int(i) for operator in self.operators for i in operator.inputs)
        return [i for i in self.inputs if self.is_float(i) and i in choosing and readers[i] == 1]

    def keep_rows_positive(self) -> None:
        """Let ids choose rows at once, without the count from the end that negative ids have.

        Keras 3 computes `id < 0 ? id + rows : id` before it takes the rows.
        """
        made_by = {int(o): op for op in self.operators for o in op.outputs}
        for operator in self.operators:
            select = made_by.get(int(operator.inputs[1])) if self.op(operator) == "GATHER" else None
            if select is None or self.op(select) not in ("SELECT", "SELECT_V2"):
                continue
            is_negative, from_end, ids = (int(i) for i in select.inputs)
            less, add = made_by.get(is_negative), made_by.get(from_end)
            if (less is not None and self.op(less) == "LESS" and int(less.inputs[0]) == ids) and (
                add is not None and self.op(add) == "ADD" and ids in map(int, add.inputs)
            ):
                operator.inputs = [int(operator.inputs[0]), ids]
        self._remove_unused()

    def _remove_unused(self) -> None:
        """Remove operators whose outputs nobody takes; those without outputs keep a state."""
        while True:
            used = {*self.outputs, *(int(i) for op in self.operators for i in op.inputs)}
            needed = [
                op
                for op in self.operators
                if not len(op.outputs) or any(int(o) in used for o in op.outputs)
            ]
            if len(needed) == len(self.operators):
                return
            self.operators[:] = needed

    def set_range(self, tensor: int, low: float, high: float) -> None:
        """Note the lowest and highest number of a tensor, as calibration does."""
        range_ = schema.QuantizationParametersT()
        range_.min, range_.max = np.array([low], np.float32), np.array([high], np.float32)
        self.tensors[tensor].quantization = range_

    def part_vectors(self) -> None:
        """Give every operator stored floats of one axis, such as a bias, of its own."""
        used: set[int] = set()
        for operator in self.operators:
            for place, tensor in enumerate(map(int, operator.inputs)):
                if tensor < 0 or len(self.shape(tensor)) != 1 or self.constant(tensor) is None:
                    continue
                if tensor in used:
                    inputs = [int(i) for i in operator.inputs]
                    inputs[place] = self._copy(tensor)
                    operator.inputs = inputs
                used.add(tensor)

    def _copy(self, tensor: int) -> int:
        """Copy a tensor into a buffer of its own, and return the position of the copy."""
        duplicate, buffers = copy.copy(self.tensors[tensor]), self.model.buffers
        buffers.append(copy.copy(buffers[duplicate.buffer]))
        duplicate.buffer, duplicate.name = (
            len(buffers) - 1,
            f"{self.name(tensor)}_{len(self.tensors)}",
        )
        self.tensors.append(duplicate)
        return len(self.tensors) - 1

    def fix_batch(self) -> None:
        """Leave no axis open: what is run is a batch of one."""
        for tensor in self.tensors:
            tensor.shapeSignature = None

    def join_conversions(self) -> None:
        """Let one QUANTIZE do what a DEQUANTIZE of 16 bits and a QUANTIZE behind it do.

        Not from 8 to 16 bits: tflite-runtime 2.14.0 has no QUANTIZE that does.
        """
        dequantizes = {
            int(op.outputs[0]): op
            for op in self.operators
            if self.op(op) == "DEQUANTIZE" and self.spec(int(op.inputs[0])).dtype == "int16"
        }
        for operator in self.operators:
            if self.op(operator) == "QUANTIZE" and int(operator.inputs[0]) in dequantizes:
                operator.inputs = [dequantizes[int(operator.inputs[0])].inputs[0]]
        needed = {*self.outputs, *(int(i) for op in self.operators for i in op.inputs)}
        self.operators[:] = [
            operator
            for operator in self.operators
            if self.op(operator) != "DEQUANTIZE" or int(operator.outputs[0]) in needed
        ]

    def set_least_versions(self) -> None:
        """Let every op claim the version that its tensors call for, where it claims less."""
        codes = self.model.operatorCodes
        for operator in self.operators:
            inputs = [] if operator.inputs is None else operator.inputs
            operands = [None if i < 0 else self._operand(int(i)) for i in inputs]
            code = codes[operator.opcodeIndex]
            version = least_version(self.op(operator), operands)
            if version <= code.version:
                continue
            new = copy.copy(code)
            new.version = version
            self._set_code(operator, new)

    def set_op(self, operator: Any, op: str, options: Any = None, kind: int = 0) -> None:
        """Let an operator compute another op, in its first version.

        Args:
            operator: The operator.
            op: Name of the builtin, such as "PAD".
            options: Options of the schema for it, or None.
            kind: Kind of these options, a number of the schema's `BuiltinOptions`; 0 for none.
        """
        new = schema.OperatorCodeT()
        new.builtinCode = getattr(schema.BuiltinOperator, op)
        new.deprecatedBuiltinCode, new.version = min(new.builtinCode, 127), 1
        self._set_code(operator, new)
        operator.builtinOptions = options
        operator.builtinOptionsType = kind

    def _set_code(self, operator: Any, code: Any) -> None:
        codes = self.model.operatorCodes
        same = [i for i, existing in enumerate(codes) if vars(existing) == vars(code)]
        if not same:
            codes.append(code)
        operator.opcodeIndex = same[0] if same else len(codes) - 1

    def _operand(self, tensor: int) -> Operand:
        quantization = self.tensors[tensor].quantization
        scales = None if quantization is None else quantization.scale
        dtype = _DTYPES.get(self.tensors[tensor].type, "")
        return Operand(dtype, 0 if scales is None else len(scales))


def unpack_file(path: Path) -> UnpackedModel:
    """Take apart a file that went through `converters.tflite.reader.read_model`.

    Raises:
        ConversionError: It is damaged in a table that describes no tensor and no operator.
    """
    try:
        return UnpackedModel(path.read_bytes())
    except (struct.error, TypeError, ValueError, IndexError, OverflowError, MemoryError) as error:
        raise ConversionError(
            f"{path}: is a damaged .tflite (a table inside points beyond its end)",
            "Copy or convert it again.",
        ) from error


def with_shared_buffers(content: bytes) -> bytes:
    """Store the equal constants of a .tflite once.

    Only the first subgraph is looked at. A variable tensor has no stored values.
    """
    model = UnpackedModel(content)
    buffers = model.model.buffers
    first: dict[bytes, int] = {}
    is_shared = False
    for tensor in model.tensors:
        data = buffers[tensor.buffer].data
        if data is None or not len(data):
            continue
        place = first.setdefault(bytes(bytearray(data)), tensor.buffer)
        if place != tensor.buffer:
            buffers[tensor.buffer].data, tensor.buffer, is_shared = None, place, True
    return model.pack() if is_shared else content
