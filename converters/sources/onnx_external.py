"""Files that an .onnx keeps its values in, found without the package onnx."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path

from converters.onnx.proto import external_file
from converters.sources.wire import WireFormatError, message_fields, submessages

#: Numbers of fields: graph of ModelProto, nodes and stored tensors of GraphProto, attributes of
#: NodeProto, a tensor and a graph of AttributeProto.
_GRAPH, _NODES, _TENSORS, _ATTRIBUTES, _TENSOR, _INNER = 7, 1, 5, 5, 5, 6
#: Numbers of fields of TensorProto: name, entries about another file, place of the values.
_NAME, _EXTERNAL, _LOCATION = 8, 13, 14
#: Place of values that are in another file.
_IN_FILE = 1
_MOST_DEPTH = 20


def check_external_files(path: Path) -> None:
    """Refuse an .onnx whose other files are missing, before anything else is done with it.

    Args:
        path: The .onnx. One that is damaged is left to the parser.

    Raises:
        ConversionError: A file is missing, is a link, or lies outside of the folder.
    """
    known = set()
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        message = memoryview(content)
        try:
            for name, location in _external_tensors(message):
                if location not in known:
                    known.add(location)
                    what = f"{path}: the values of tensor {name!r} are in {location!r}"
                    external_file(path.parent, location, what)
        except WireFormatError:
            return
        finally:
            message.release()


def _external_tensors(model: memoryview) -> Iterator[tuple[str, str]]:
    """Name of each tensor with values in another file, and that file."""
    graphs = [(graph, 0) for graph in submessages(model, _GRAPH)]
    while graphs:
        graph, depth = graphs.pop()
        tensors = list(submessages(graph, _TENSORS))
        for node in submessages(graph, _NODES):
            for attribute in submessages(node, _ATTRIBUTES):
                tensors += submessages(attribute, _TENSOR)
                if depth < _MOST_DEPTH:
                    graphs += [(inner, depth + 1) for inner in submessages(attribute, _INNER)]
        for tensor in tensors:
            found = _location(tensor)
            if found is not None:
                yield found


def _location(tensor: memoryview) -> tuple[str, str] | None:
    name, location, is_external = "", "", False
    for number, value in message_fields(tensor):
        if number == _LOCATION:
            is_external = value == _IN_FILE
        elif number == _NAME and isinstance(value, memoryview):
            name = bytes(value[:200]).decode("utf-8", "replace")
        elif number == _EXTERNAL and isinstance(value, memoryview):
            entry = {
                field: bytes(text).decode("utf-8", "replace")
                for field, text in message_fields(value)
                if isinstance(text, memoryview)
            }
            location = entry.get(2, "") if entry.get(1) == "location" else location
    return (name, location) if is_external else None
