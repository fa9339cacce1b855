"""Reads what is inside an .onnx, and never through a runtime.

The file may be anything: sizes and references in it are taken as lies until they are seen to fit,
and nothing in it is executed.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from converters.errors import ConversionError
from converters.foreign_files import describe_file
from converters.model_file import ModelFile, Operator, Tensor
from converters.onnx.proto import parse_proto
from converters.onnx.tensor_types import DTYPES, tensor_bytes
from converters.tensor_spec import TensorSpec
from device_agent.contract.onnx_scales import SCALES_KEY, IntegerScale, scales_from_text
from device_agent.contract.records import RecordError
from device_agent.contract.state import KEEP, RELOAD
from device_agent.contract.tensors import unique_names

#: Name under which the version of the format itself stands among the operators of a file: a runtime
#: has to know it as it has to know each op.
IR_VERSION = "ONNX IR"
#: Domains whose ops are ONNX's own; a file may write the first in both ways.
STANDARD_DOMAINS = ("", "ai.onnx", "ai.onnx.ml")
#: Ops that every build of ONNX Runtime brings besides.
BUNDLED_DOMAIN = "com.microsoft"

#: Ops that draw random numbers: only a fresh session begins their sequence anew.
_RANDOM = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"} | {
    "Multinomial",
    "Bernoulli",
}
_EXTERNAL = 1
_ONE_FILE = (
    "Save the model in one file: `onnx.save(onnx.load('model.onnx'), 'one.onnx')`. kedge sends and "
    "measures single files."
)


@dataclass(frozen=True)
class OnnxFile(ModelFile):
    """An .onnx: what every format shares, and what only an .onnx has."""

    format: ClassVar[str] = "onnx"

    ir_version: int
    """Version of the format."""
    opsets: Mapping[str, int]
    """Domain of ops to the version of them; ONNX's own domain is ""."""
    producer: str
    """Program that wrote it, and its version."""
    metadata: tuple[str, ...]
    """Names of what its maker added."""
    softmax_to_int8: bool
    """Whether the result of a Softmax is rounded to signed integers."""
    asymmetric: bool
    """Whether a quantized tensor has a zero point other than 0, or is of an unsigned type."""


def read_onnx(path: Path) -> OnnxFile:
    """Read an .onnx.

    Args:
        path: Any file; nothing in it is trusted.

    Raises:
        MissingConvertExtraError: Package `onnx` is not installed.
        ConversionError: The path holds no .onnx, or one that is damaged, cut off, or keeps its
            weights in other files.
    """
    content = _read_content(path)
    proto = parse_proto(content, path)
    try:
        return _model_file(path, content, proto)
    except RecordError as error:
        raise _damage(path, str(error)) from error
    except (ValueError, OverflowError) as error:
        raise _damage(path, str(error)) from error


def _read_content(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise ConversionError(f"{path}: is a folder, expected an .onnx file", "Name the file.")
        if path.exists() and not path.is_file():  # a pipe would be waited for without end
            raise ConversionError(f"{path}: is no regular file", "Save the model to a file.")
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise ConversionError(f"{path}: not found", "Check the path.") from error
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read: {error.strerror}", "Check it.") from error
    if content[:1] != b"\x08" and not content.startswith((b"\x12", b"\x1a", b":", b"B")):
        what, hint = describe_file(path)
        raise ConversionError(
            f"{path}: is not an .onnx: it is {what}", hint or "Export the model to ONNX again."
        )
    return content


def _damage(path: Path, detail: str) -> ConversionError:
    return ConversionError(
        f"{path}: is a damaged .onnx ({detail})", "Copy it again, or export the model again."
    )


def _model_file(path: Path, content: bytes, proto: Any) -> OnnxFile:
    opsets = {_domain(entry.domain): int(entry.version) for entry in proto.opset_import}
    graphs = list(every_graph(proto.graph))
    if any(tensor.data_location == _EXTERNAL for graph in graphs for tensor in graph.initializer):
        raise ConversionError(f"{path}: keeps its weights in other files", _ONE_FILE)
    nodes = [node for graph in graphs for node in graph.node]
    nodes += [node for function in proto.functions for node in function.node]
    metadata = {_text(entry.key): _text(entry.value) for entry in proto.metadata_props}
    scales = scales_from_text(metadata.get(SCALES_KEY, ""))
    stored = {tensor.name for tensor in proto.graph.initializer}
    given = [entry for entry in proto.graph.input if entry.name not in stored]
    draws = any(node.op_type in _RANDOM for node in nodes)
    return OnnxFile(
        path=path,
        size_bytes=len(content),
        sha256=hashlib.sha256(content).hexdigest(),
        operators=_operators(proto, nodes, opsets),
        tensors=tuple(_tensors(graphs, proto.graph)),
        inputs=_specs(given, scales),
        outputs=_specs(proto.graph.output, scales),
        edgetpu=False,
        reset=RELOAD if draws else KEEP,
        ir_version=int(proto.ir_version),
        opsets=opsets,
        producer=f"{_text(proto.producer_name)} {_text(proto.producer_version)}".strip(),
        metadata=tuple(metadata),
        softmax_to_int8=_rounds_softmax_to_int8(proto.graph),
        asymmetric=_is_asymmetric(graphs),
    )


def every_graph(graph: Any) -> Iterator[Any]:
    """Yield a graph and those inside of its nodes, such as the branches of an If."""
    waiting = [graph]
    while waiting:
        graph = waiting.pop()
        yield graph
        for node in graph.node:
            for attribute in node.attribute:
                if attribute.HasField("g"):
                    waiting.append(attribute.g)
                waiting.extend(attribute.graphs)


def _text(value: str | bytes) -> str:
    """Return a text that nothing looks up; protobuf gives bytes where it is not UTF-8."""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _domain(name: str) -> str:
    return "" if name == "ai.onnx" else str(name)


def _operators(proto: Any, nodes: list[Any], opsets: Mapping[str, int]) -> tuple[Operator, ...]:
    functions = {(_domain(function.domain), function.name) for function in proto.functions}
    counts: Counter[tuple[str, int, bool]] = Counter()
    for node in nodes:
        domain = _domain(node.domain)
        if (domain, node.op_type) in functions:
            continue  # made of other ops, which are counted
        if domain not in opsets:
            raise ValueError(f"it names no version of the ops of {domain or 'ai.onnx'!r}")
        if opsets[domain] < 1:
            raise ValueError(f"the ops of {domain or 'ai.onnx'!r} have version {opsets[domain]}")
        name = f"{domain}.{node.op_type}" if domain else str(node.op_type)
        counts[(name, opsets[domain], domain not in STANDARD_DOMAINS)] += 1
    operators = [Operator(*key[:2], count, key[2]) for key, count in counts.most_common()]
    return (*operators, Operator(IR_VERSION, int(proto.ir_version), 1, False))


def _tensors(graphs: list[Any], main: Any) -> Iterator[Tensor]:
    stored = {}
    for graph in graphs:
        for tensor in graph.initializer:
            stored[tensor.name] = tensor
            yield _stored_tensor(tensor)
    for entry in (*main.input, *main.value_info, *main.output):
        if entry.name not in stored and entry.type.HasField("tensor_type"):
            shape, dtype = _shape_and_type(entry)
            size = tensor_bytes(shape, dtype)
            yield Tensor(entry.name, shape, dtype, 0, None, None, False, size)


def _stored_tensor(tensor: Any) -> Tensor:
    shape = tuple(int(axis) for axis in tensor.dims)
    dtype = DTYPES.get(tensor.data_type, "")
    if not dtype or any(axis < 0 for axis in shape):
        raise ValueError(f"its tensor {tensor.name[:80]!r} has the type {tensor.data_type} and "
                         f"the shape {list(shape)}")  # fmt: skip
    size = tensor_bytes(shape, dtype)
    if len(tensor.raw_data) not in (0, size) and dtype != "string":
        raise ValueError(f"its tensor {tensor.name[:80]!r} has {len(tensor.raw_data)} bytes, "
                         f"expected {size}")  # fmt: skip
    return Tensor(tensor.name, shape, dtype, 0, None, None, True, len(tensor.raw_data) or size)


def _specs(entries: Any, scales: Mapping[str, IntegerScale]) -> tuple[TensorSpec, ...]:
    specs = []
    for name, entry in zip(unique_names([entry.name for entry in entries]), entries, strict=True):
        if not entry.type.HasField("tensor_type"):
            raise ValueError(f"its input or output {entry.name[:80]!r} is no tensor")
        shape, dtype = _shape_and_type(entry)
        scale = scales.get(entry.name) if dtype.startswith(("int", "uint")) else None
        specs.append(TensorSpec(name, shape, dtype, *(scale or (None, None))))
    return tuple(specs)


def _shape_and_type(entry: Any) -> tuple[tuple[int, ...], str]:
    tensor = entry.type.tensor_type
    shape = tuple(int(axis.dim_value) if axis.HasField("dim_value") else -1
                  for axis in tensor.shape.dim)  # fmt: skip
    dtype = DTYPES.get(tensor.elem_type, "")
    if not dtype or any(axis < -1 for axis in shape):
        raise ValueError(
            f"its tensor {entry.name[:80]!r} has the type {tensor.elem_type} and the shape "
            f"{list(shape)}"
        )
    return shape, dtype


def _is_asymmetric(graphs: list[Any]) -> bool:
    stored = {tensor.name: tensor for graph in graphs for tensor in graph.initializer}
    for node in (node for graph in graphs for node in graph.node):
        if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
            continue
        name = node.input[2] if len(node.input) > 2 else ""
        if not name and node.op_type == "QuantizeLinear":
            return True  # without a zero point the result is uint8
        point = stored.get(name)
        if point is not None and (
            DTYPES.get(point.data_type) != "int8" or any(point.raw_data) or any(point.int32_data)
        ):
            return True
    return False


def _rounds_softmax_to_int8(graph: Any) -> bool:
    results = {name for node in graph.node if node.op_type == "Softmax" for name in node.output}
    signed = {tensor.name for tensor in graph.initializer if DTYPES.get(tensor.data_type) == "int8"}
    return any(
        node.op_type == "QuantizeLinear"
        and set(node.input[:1]) <= results
        and set(node.input[2:3]) & signed
        for node in graph.node
    )
