"""Reads what is inside a .tflite, through its FlatBuffers schema and never through a runtime.

The file may be anything: every offset and length in it is taken as a lie until it is seen to stay
inside the file, and the work done is bounded by the file's size.
"""

from __future__ import annotations

import hashlib
import math
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from converters.errors import ConversionError
from converters.foreign_files import describe_file
from converters.model_file import ModelFile, Operator, Tensor
from converters.tensor_spec import TensorSpec
from converters.tflite.kernel_needs import Operand, least_version
from converters.tflite.state import reset_of
from device_agent.contract.records import on_one_line
from device_agent.contract.tensors import unique_names

#: Op that a Coral compiler puts in the place of the ops that the Edge TPU does.
EDGETPU_OP = "edgetpu-custom-op"

_IDENTIFIER = b"TFL3"
#: Version of the .tflite format that the runtimes load, and no other.
_SCHEMA_VERSION = 3
#: The metadata entry in which the converter records the runtime that the ops need.
_MIN_RUNTIME = "min_runtime_version"
#: The smallest file: root offset and identifier.
_HEADER_BYTES = 8
_CUSTOM = schema.BuiltinOperator.CUSTOM
#: FlatBuffers allows no file beyond 2 GiB; larger ones keep weights outside of the FlatBuffer.
_MAX_BYTES = 2**31

_OPERATOR_NAMES = {
    code: name for name, code in vars(schema.BuiltinOperator).items() if not name.startswith("_")
}
_DTYPE_NAMES = {
    code: name.lower() for name, code in vars(schema.TensorType).items() if not name.startswith("_")
}
#: Bits of one element where they are not what the digits in the type's name say.
_ODD_BITS = {"bool": 8, "string": 0, "resource": 0, "variant": 0}

#: Tensors, operators and other tables that every file may have, and bytes of the file for each
#: further one: Python's objects of a table take more memory than the table.
_TABLES, _BYTES_FOR_TABLE = 20_000, 200
#: Most axes of a tensor, and most values; no runtime takes so many.
_MOST_AXES, _MOST_VALUES = 64, 2**62

#: Errors that reading a damaged file through the generated code can raise.
_DAMAGE = (struct.error, IndexError, KeyError, ValueError, TypeError, OverflowError, AttributeError)


@dataclass(frozen=True)
class TFLiteFile(ModelFile):
    """A .tflite: what every format shares, and what only a .tflite has."""

    format: ClassVar[str] = "tflite"

    description: str
    """Text that its maker wrote in it."""
    subgraphs: int
    """Number of subgraphs."""
    signatures: tuple[str, ...]
    """Names of its signatures."""
    metadata: tuple[str, ...]
    """Names of what its maker added, such as labels."""
    recorded_min_runtime: str | None
    """The TFLite runtime that its maker says it needs, or None."""


def read_model(path: Path) -> TFLiteFile:
    """Read a .tflite.

    Args:
        path: Any file; nothing in it is trusted.

    Raises:
        ConversionError: The path holds no .tflite, or one that is damaged or cut off.
    """
    content = _read_bytes(path)
    try:
        return _Parser(path, content).model_file()
    except _DAMAGE as error:
        ours = isinstance(error, ValueError)  # what the checks below raise, in words
        detail = str(error) if ours else "a table inside points beyond its end"
        raise _damaged(path, detail) from error


def _read_bytes(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ConversionError(f"{path}: is a folder, expected a .tflite file", "Name the file.")
        if path.exists() and not path.is_file():  # a pipe would be waited for without end
            raise ConversionError(f"{path}: is no regular file", "Save the model to a file.")
        size_bytes = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(_HEADER_BYTES)
            if head[4:] != _IDENTIFIER:
                raise _foreign(path)
            if size_bytes >= _MAX_BYTES:
                raise ConversionError(
                    f"{path}: has {size_bytes} bytes, kedge reads .tflite files below 2 GiB",
                    "Use a smaller model.",
                )
            return head + file.read(size_bytes)
    except FileNotFoundError as error:
        raise ConversionError(f"{path}: not found", "Check the path.") from error
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read: {error.strerror}", "Check it.") from error


def _foreign(path: Path) -> ConversionError:
    what, hint = describe_file(path)
    return ConversionError(
        f"{path}: is not a .tflite: it is {what}",
        hint or "Convert a Keras model with `kedge convert`, which writes a .tflite.",
    )


def _damaged(path: Path, detail: str) -> ConversionError:
    size = path.stat().st_size if path.exists() else 0
    return ConversionError(
        f"{path}: is a damaged or cut-off .tflite of {size} bytes ({detail})",
        "Copy or convert it again.",
    )


class _Parser:
    """One pass over one file; spends from a budget that the file's size sets."""

    def __init__(self, path: Path, content: bytes) -> None:
        self.path = path
        self.content = content
        # In a tree every table and every number takes bytes of its own, so that a whole file can
        # never need more than this; one that points at the same bytes again and again can.
        self.budget = len(content)
        self.tables = _TABLES + len(content) // _BYTES_FOR_TABLE

    def model_file(self) -> TFLiteFile:
        model = schema.Model.GetRootAs(self.content, 0)
        self._check_version(model.Version())
        buffers = self._buffers(model)
        codes = self._operator_codes(model)
        graphs = [
            model.Subgraphs(i) for i in self._table_span(model.SubgraphsLength(), "subgraphs")
        ]
        if not graphs:
            raise ValueError("it has no subgraph")
        tensors = [self._tensors(graph, buffers) for graph in graphs]
        counts: Counter[tuple[str, int, bool]] = Counter()
        least: dict[tuple[str, int, bool], int] = {}
        for graph, of_graph in zip(graphs, tensors, strict=True):
            for code, version in self._uses(graph, codes, of_graph):
                counts[code] += 1
                least[code] = max(version, least.get(code, 1))
        operators = tuple(
            Operator(*code[:2], count, code[2], least[code]) for code, count in counts.most_common()
        )
        return TFLiteFile(
            path=self.path,
            size_bytes=len(self.content),
            sha256=hashlib.sha256(self.content).hexdigest(),
            description=self._line(model.Description()),
            operators=operators,
            tensors=tuple(tensor for of_graph in tensors for tensor in of_graph),
            inputs=self._specs(graphs[0].Inputs, graphs[0].InputsLength(), tensors[0]),
            outputs=self._specs(graphs[0].Outputs, graphs[0].OutputsLength(), tensors[0]),
            subgraphs=len(graphs),
            signatures=tuple(
                self._line(model.SignatureDefs(i).SignatureKey())
                for i in self._table_span(model.SignatureDefsLength(), "signatures")
            ),
            metadata=tuple(
                self._line(model.Metadata(i).Name())
                for i in self._table_span(model.MetadataLength(), "metadata")
            ),
            recorded_min_runtime=self._min_runtime(model, buffers),
            edgetpu=any(op.custom and op.name == EDGETPU_OP for op in operators),
            reset=reset_of(model),
        )

    def _span(self, length: int, what: str) -> range:
        """`range(length)`, paid for."""
        self.budget -= length
        if length < 0 or self.budget < 0:
            raise ValueError(f"{what} point outside of the file")
        return range(length)

    def _table_span(self, length: int, what: str) -> range:
        """`range(length)` of tables, paid for."""
        self.tables -= length
        if self.tables < 0:
            raise ValueError(f"it has more {what} than a file of its size can hold")
        return self._span(length, what)

    def _inside(self, offset: int, size: int, what: str) -> None:
        if offset < 0 or size < 0 or offset + size > len(self.content):
            raise ValueError(f"{what} ends at byte {offset + size} of {len(self.content)}")

    def _text(self, raw: bytes | None) -> str:
        if raw is None:
            return ""
        self._span(len(raw), "texts")
        return raw.decode("utf-8", "replace")

    def _line(self, raw: bytes | None) -> str:
        """Return a text that is shown to people, on one line."""
        return str(on_one_line(self._text(raw)))

    def _check_version(self, version: int) -> None:
        if 0 < version < _SCHEMA_VERSION:
            raise ConversionError(
                f"{self.path}: is a .tflite of schema version {version}, expected "
                f"{_SCHEMA_VERSION}: no runtime loads another one",
                "Convert the model again with a converter of today.",
            )
        if version != _SCHEMA_VERSION:
            raise ValueError(f"its schema version is {version}")

    def _buffers(self, model: Any) -> list[bytes | int]:
        """Bytes of each buffer, or, where they follow the FlatBuffer, their number."""
        if model.ExternalBuffersLength():
            raise ConversionError(
                f"{self.path}: keeps its weights in other files, which kedge does not carry yet",
                "Convert the model into one file.",
            )
        buffers = [
            self._buffer(model.Buffers(i), i)
            for i in self._table_span(model.BuffersLength(), "buffers")
        ]
        # Buffer 0 means "no values" and may be left out when nothing has any.
        return buffers or [b""]

    def _buffer(self, buffer: Any, index: int) -> bytes | int:
        # Offsets 0 and 1 mean "not outside"; both fields exist for files beyond 2 GiB.
        if buffer.Offset() > 1:
            self._inside(buffer.Offset(), buffer.Size(), f"buffer {index}")
            return int(buffer.Size())
        if buffer.DataIsNone():
            return b""
        self._span(buffer.DataLength(), f"the bytes of buffer {index}")
        return bytes(buffer.DataAsNumpy())

    def _operator_codes(self, model: Any) -> list[tuple[str, int, bool]]:
        codes = []
        for i in self._table_span(model.OperatorCodesLength(), "operator codes"):
            code = model.OperatorCodes(i)
            # Old files fill only the 8-bit field, new ones both.
            builtin = max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
            custom = builtin == _CUSTOM
            if code.Version() < 1:
                raise ValueError(f"operator code {i} has version {code.Version()}")
            name = self._line(code.CustomCode()) if custom else _OPERATOR_NAMES.get(builtin)
            codes.append((name or f"op code {builtin}", code.Version(), custom))
        return codes

    def _uses(
        self, graph: Any, codes: list[tuple[str, int, bool]], tensors: list[Tensor]
    ) -> list[tuple[tuple[str, int, bool], int]]:
        """Code of each operator, and the version that its tensors call for."""
        uses = []
        for i in self._table_span(graph.OperatorsLength(), "operators"):
            operator = graph.Operators(i)
            for read, length in (
                (operator.Inputs, operator.InputsLength()),
                (operator.Outputs, operator.OutputsLength()),
            ):
                for j in self._span(length, f"the tensors of operator {i}"):
                    # -1 is an optional input that was left out.
                    if not -1 <= read(j) < len(tensors):
                        raise ValueError(f"operator {i} uses tensor {read(j)} of {len(tensors)}")
            self._custom_options(operator, i)
            code = codes[operator.OpcodeIndex()]
            positions = [operator.Inputs(j) for j in range(operator.InputsLength())]
            operands = [None if j < 0 else Operand(tensors[j].dtype, tensors[j].scales)
                        for j in positions]  # fmt: skip
            uses.append((code, 1 if code[2] else least_version(code[0], operands)))
        return uses

    def _custom_options(self, operator: Any, index: int) -> None:
        if operator.LargeCustomOptionsOffset() > 1:
            offset, size = operator.LargeCustomOptionsOffset(), operator.LargeCustomOptionsSize()
            self._inside(offset, size, f"the options of operator {index}")
        if not operator.CustomOptionsIsNone():
            self._span(operator.CustomOptionsLength(), f"the options of operator {index}")
            operator.CustomOptionsAsNumpy()
        for options in (operator.BuiltinOptions(), operator.BuiltinOptions2()):
            if options is not None:
                options.Offset(4)  # reads the options' own table: they may be what was cut off

    def _tensors(self, graph: Any, buffers: list[bytes | int]) -> list[Tensor]:
        return [
            self._tensor(graph.Tensors(i), buffers)
            for i in self._table_span(graph.TensorsLength(), "tensors")
        ]

    def _tensor(self, tensor: Any, buffers: list[bytes | int]) -> Tensor:
        name = self._text(tensor.Name())
        shape = self._shape(tensor)
        dtype = _DTYPE_NAMES[tensor.Type()]
        stored = buffers[tensor.Buffer()]
        stored_bytes = stored if isinstance(stored, int) else len(stored)
        scales, scale, zero_point = self._quantization(tensor.Quantization())
        return Tensor(
            name=name,
            shape=shape,
            dtype=dtype,
            scales=scales,
            scale=scale,
            zero_point=zero_point,
            is_constant=stored_bytes > 0,
            bytes=stored_bytes or _bytes_of(shape, dtype),
        )

    def _shape(self, tensor: Any) -> tuple[int, ...]:
        # The signature keeps the -1 of a dynamic axis, where the shape says 1.
        if tensor.ShapeSignatureLength():
            axes = self._axes(tensor.ShapeSignatureLength())
            shape = [tensor.ShapeSignature(i) for i in axes]
            self._check_shape([tensor.Shape(i) for i in self._axes(tensor.ShapeLength())])
            # An open batch that is not 1 at first belongs to the sample: nobody resizes it.
            if shape[0] == -1 and tensor.ShapeLength() and tensor.Shape(0) > 1:
                shape[0] = tensor.Shape(0)
        else:
            shape = [tensor.Shape(i) for i in self._axes(tensor.ShapeLength())]
        self._check_shape(shape)
        return tuple(shape)

    def _check_shape(self, shape: list[int]) -> None:
        if any(axis < -1 for axis in shape) or math.prod(map(abs, shape)) > _MOST_VALUES:
            raise ValueError(f"a tensor has the shape {shape}")

    def _axes(self, length: int) -> range:
        if length > _MOST_AXES:
            raise ValueError(f"a tensor has {length} axes")
        return self._span(length, "a shape")

    def _quantization(self, quantization: Any) -> tuple[int, float | None, int | None]:
        if quantization is None or quantization.ScaleIsNone():
            return 0, None, None
        scales = len(self._span(quantization.ScaleLength(), "scales"))
        points = len(self._span(quantization.ZeroPointLength(), "zero points"))
        if scales != 1:
            # Read them, so that a cut-off file is noticed.
            values = np.asarray(quantization.ScaleAsNumpy())
            if scales and not np.isfinite(values).all():
                raise ValueError("a scale is not a finite number")
            return scales, None, None
        if not math.isfinite(quantization.Scale(0)):
            raise ValueError("a scale is not a finite number")
        return 1, quantization.Scale(0), quantization.ZeroPoint(0) if points else 0

    def _specs(self, read: Any, length: int, tensors: list[Tensor]) -> tuple[TensorSpec, ...]:
        chosen = []
        for i in self._span(length, "inputs and outputs"):
            if not 0 <= read(i) < len(tensors):
                raise ValueError(f"an input or output is tensor {read(i)} of {len(tensors)}")
            chosen.append(tensors[read(i)])
        names = unique_names([tensor.name for tensor in chosen])
        return tuple(
            TensorSpec(name, tensor.shape, tensor.dtype, tensor.scale, tensor.zero_point)
            for name, tensor in zip(names, chosen, strict=True)
        )

    def _min_runtime(self, model: Any, buffers: list[bytes | int]) -> str | None:
        min_runtime = None
        for i in self._table_span(model.MetadataLength(), "metadata"):
            entry = model.Metadata(i)
            stored = buffers[entry.Buffer()]
            if self._text(entry.Name()) == _MIN_RUNTIME and isinstance(stored, bytes):
                min_runtime = stored.rstrip(b"\0").decode("ascii", "replace") or None
        return min_runtime


def _bytes_of(shape: tuple[int, ...], dtype: str) -> int:
    """Size of a tensor's values; 0 where an axis is dynamic or the type has no fixed size."""
    digits = "".join(filter(str.isdigit, dtype.partition("_")[0].replace("float8", "8")))
    bits = _ODD_BITS.get(dtype, int(digits or 0))
    count = 1
    for axis in shape:
        count *= max(0, axis)
    return (count * bits + 7) // 8
