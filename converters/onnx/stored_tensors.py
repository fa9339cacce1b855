"""Where the values of constant tensors lie in an .onnx, so that two files can be compared.

The file is a message of Protocol Buffers: numbered fields, each with its length. This reads the few
that lead to the stored values, since the library does not tell where a value lies.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from converters.model_file import StoredTensor
from converters.onnx.reader import read_onnx
from converters.onnx.tensor_types import DTYPES

#: Numbers of fields: the graph of a model, the stored tensors of a graph, and of a tensor its
#: shape, type, name and values.
_GRAPH, _INITIALIZER, _DIMS, _DATA_TYPE, _NAME, _RAW_DATA = 7, 5, 1, 2, 8, 9
#: Kinds of fields: a number, 8 bytes, something with a length, 4 bytes.
_NUMBER, _EIGHT_BYTES, _WITH_LENGTH, _FOUR_BYTES = 0, 1, 2, 5


def stored_onnx_tensors(path: Path) -> tuple[StoredTensor, ...]:
    """Return the constant tensors of a file whose values lie in it as raw bytes.

    Args:
        path: Any file; nothing in it is trusted.

    Returns:
        Tensors in the order of their places in the file.

    Raises:
        MissingConvertExtraError: Package `onnx` is not installed.
        ConversionError: The path holds no .onnx, or one that is damaged or cut off.
    """
    read_onnx(path)
    content = path.read_bytes()
    tensors = []
    for _, graph, graph_end in _fields(content, 0, len(content), _GRAPH):
        for _, start, end in _fields(content, graph, graph_end, _INITIALIZER):
            tensor = _tensor(content, start, end)
            if tensor.size:
                tensors.append(tensor)
    return tuple(sorted(tensors, key=lambda tensor: tensor.offset))


def _tensor(content: bytes, start: int, end: int) -> StoredTensor:
    dims: list[int] = []
    name, dtype, place, size = "", 0, 0, 0
    for field, first, last in _fields(content, start, end):
        if field == _DIMS and last < first:  # a number by itself
            dims.append(-last - 1)
        elif field == _DIMS:
            dims += _numbers(content, first, last)
        elif field == _DATA_TYPE:
            dtype = -last - 1
        elif field == _NAME:
            name = content[first:last].decode("utf-8", "replace")
        elif field == _RAW_DATA:
            place, size = first, last - first
    return StoredTensor(name, DTYPES.get(dtype, ""), tuple(dims), place, size)


def _fields(
    content: bytes, start: int, end: int, wanted: int = 0
) -> Iterator[tuple[int, int, int]]:
    """Yield number, first byte and end of each field; of a number n its end is -n - 1."""
    while start < end:
        key, start = _number(content, start)
        field, kind = key >> 3, key & 7
        if kind == _NUMBER:
            value, start = _number(content, start)
            place = (start, -value - 1)
        elif kind == _WITH_LENGTH:
            length, start = _number(content, start)
            place = (start, start + length)
            start += length
        elif kind in (_EIGHT_BYTES, _FOUR_BYTES):
            start += 8 if kind == _EIGHT_BYTES else 4
            continue
        else:
            return
        if (not wanted or field == wanted) and place[1] <= end:
            yield field, *place


def _numbers(content: bytes, start: int, end: int) -> list[int]:
    values = []
    while start < end:
        value, start = _number(content, start)
        values.append(value)
    return values


def _number(content: bytes, start: int) -> tuple[int, int]:
    """Return a number of up to 64 bits, and the place behind it."""
    value = shift = 0
    while start < len(content) and shift < 64:
        byte = content[start]
        value |= (byte & 0x7F) << shift
        start, shift = start + 1, shift + 7
        if byte < 0x80:
            break
    return value, start
