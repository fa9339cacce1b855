"""Inputs, outputs and scales of an .onnx, read from its bytes by the standard library alone.

`trtexec` says nothing of a model in a form that a program can read. Only the fields that are needed
here are read (onnx.proto3); weights are passed over.
"""

from __future__ import annotations

import mmap
from typing import Iterator, List, NamedTuple, Tuple, Union

from device_agent.contract.codes import MODEL_REFUSED, RefusalError
from device_agent.contract.varint import read_varint

#: Number of a type of ONNX to numpy's name.
_DTYPES = {
    1: "float32", 2: "uint8", 3: "int8", 4: "uint16", 5: "int16", 6: "int32", 7: "int64",
    9: "bool", 10: "float16", 11: "float64", 12: "uint32", 13: "uint64",
}  # fmt: skip

#: Ops that give the numbers of a quantized tensor their scale.
_SCALED = (b"QuantizeLinear", b"DequantizeLinear")

# Numbers of fields: ModelProto, GraphProto, NodeProto, TensorProto, ValueInfoProto and its type.
_GRAPH = 7
_NODE, _STORED, _INPUT, _OUTPUT = 1, 5, 11, 12
_NODE_OP, _TENSOR_NAME, _VALUE_NAME, _VALUE_TYPE = 4, 8, 1, 2
_TENSOR_TYPE, _ELEMENT, _SHAPE, _AXIS, _AXIS_SIZE = 1, 1, 2, 1, 1

_MOST_NAME = 1000
_MOST_ENTRIES = 1000

_Value = Union[int, memoryview]


class Port(NamedTuple):
    """One input or output of a model."""

    name: str
    dtype: str
    """Name of its type, as numpy has it; empty for a type without one."""
    shape: Tuple[int, ...]
    """Sizes of its axes; -1 where the file gives no size."""


class OnnxHeader(NamedTuple):
    """What a file says of its inputs and outputs."""

    inputs: List[Port]
    outputs: List[Port]
    is_quantized: bool
    """Whether the file holds scales of quantized tensors."""


def read_header(path: str) -> OnnxHeader:
    """Read the inputs and outputs of a model.

    Raises:
        RefusalError: The file is no whole .onnx.
    """
    try:
        with open(path, "rb") as file:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return _header(memoryview(data))
    except (ValueError, IndexError) as error:
        message = "the file is no whole .onnx ({})".format(error)
        raise RefusalError(MODEL_REFUSED, message, "Write the file again.") from error


def _header(content: memoryview) -> OnnxHeader:
    inputs: List[Port] = []
    outputs: List[Port] = []
    stored = set()
    is_quantized = False
    for number, graph in _fields(content):
        if number != _GRAPH or isinstance(graph, int):
            continue
        for part, value in _fields(graph):
            if isinstance(value, int):
                continue
            if part == _NODE:
                is_quantized = is_quantized or _op_of(value) in _SCALED
            elif part == _STORED:
                stored.add(_text_of(value, _TENSOR_NAME))
            elif part == _INPUT:
                inputs.append(_port(value))
            elif part == _OUTPUT:
                outputs.append(_port(value))
    inputs = [port for port in inputs if port.name not in stored]
    if not outputs or len(inputs) + len(outputs) > _MOST_ENTRIES:
        raise ValueError("{} inputs and {} outputs".format(len(inputs), len(outputs)))
    return OnnxHeader(inputs, outputs, is_quantized)


def _fields(content: memoryview) -> Iterator[Tuple[int, _Value]]:
    """Yield number and value of each field of a message."""
    place, end = 0, len(content)
    while place < end:
        tag, place = read_varint(content, place)
        kind = tag & 7
        if kind == 0:
            value, place = read_varint(content, place)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, place = read_varint(content, place)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError("a field of the kind {}".format(kind))
        if size > end - place:
            raise ValueError("it ends too early")
        yield tag >> 3, content[place : place + size]
        place += size


def _text_of(message: memoryview, field: int) -> str:
    for number, value in _fields(message):
        if number == field and not isinstance(value, int):
            return bytes(value[:_MOST_NAME]).decode("utf-8")
    return ""


def _op_of(node: memoryview) -> bytes:
    for number, value in _fields(node):
        if number == _NODE_OP and not isinstance(value, int):
            return bytes(value[:_MOST_NAME])
    return b""


def _port(message: memoryview) -> Port:
    dtype, shape = "", []
    for tensor_type in _inner(message, _VALUE_TYPE, _TENSOR_TYPE):
        for number, value in _fields(tensor_type):
            if number == _ELEMENT and isinstance(value, int):
                dtype = _DTYPES.get(value, "")
            elif number == _SHAPE and not isinstance(value, int):
                axes = [axis for part, axis in _fields(value) if part == _AXIS]
                shape = [_size_of(axis) for axis in axes if not isinstance(axis, int)]
    return Port(_text_of(message, _VALUE_NAME), dtype, tuple(shape))


def _inner(message: memoryview, *path: int) -> List[memoryview]:
    """Messages that lie behind a path of field numbers."""
    messages = [message]
    for field in path:
        messages = [
            value
            for each in messages
            for number, value in _fields(each)
            if number == field and not isinstance(value, int)
        ]
    return messages


def _size_of(axis: memoryview) -> int:
    sizes = [value for part, value in _fields(axis) if part == _AXIS_SIZE]
    size = sizes[0] if sizes else -1
    return size if isinstance(size, int) and 0 <= size < 1 << 31 else -1
