"""The one way from an .onnx to a ModelProto: bounded, and with all its data inside."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from converters.errors import ConversionError, MissingConvertExtraError

#: Largest message that protobuf takes.
_MOST_BYTES = 2**31 - 1
_TOO_LARGE = "Give a smaller model: boards that kedge knows do not hold one of 2 GB."
#: Deepest subgraphs that are looked into; real models have one or two.
_MOST_DEPTH = 20


def read_proto(path: Path, origin: Path | None = None) -> Any:
    """Parse an .onnx, its external data included. Nothing is executed.

    Args:
        path: The file. Its external data lies in its folder.
        origin: Model that it was made of, for messages; None for the file itself.

    Returns:
        The `onnx.ModelProto`, with every tensor inside.

    Raises:
        MissingConvertExtraError: Package `onnx` is not installed.
        ConversionError: It is no ONNX model, is damaged, or its external data is missing or lies
            outside of its folder.
    """
    size = path.stat().st_size
    if size > _MOST_BYTES:
        raise ConversionError(f"{path}: has {size} bytes, more than 2 GB", _TOO_LARGE)
    model = parse_proto(path.read_bytes(), origin or path)
    load_external_data(model, path)
    return model


def parse_proto(content: bytes, origin: Path) -> Any:
    """Parse the content of an .onnx. Nothing is executed.

    Args:
        content: Content of the file.
        origin: File that it is from, for messages.

    Returns:
        The `onnx.ModelProto`. Values that it keeps in other files are not loaded.

    Raises:
        MissingConvertExtraError: Package `onnx` is not installed.
        ConversionError: It is no ONNX model, or is damaged.
    """
    try:
        import onnx
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise MissingConvertExtraError(
            "onnx, which reads .onnx files, is not installed",
            "Run: pip install 'kedge[onnx]'",
        ) from error
    model = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except (DecodeError, ValueError) as error:
        raise damage_of(origin) from error
    if not model.ir_version or not model.opset_import or not model.graph.node:
        raise damage_of(origin)
    # Text that is not UTF-8 comes as bytes.
    if not all(isinstance(name, str) for name in _names_in(model)):
        raise damage_of(origin)
    return model


def load_external_data(model: Any, origin: Path) -> None:
    """Put values that a model keeps in other files into it.

    Args:
        model: `onnx.ModelProto`.
        origin: File that it is from. Its external data lies in the same folder.

    Raises:
        ConversionError: A file is missing, too short, or lies outside of the folder, or there are
            more than 2 GB.
    """
    total = model.ByteSize()
    for tensor in _tensors(model.graph, origin):
        if tensor.data_location == tensor.EXTERNAL:
            total += _load_external(tensor, origin, _MOST_BYTES - total)


def damage_of(origin: Path) -> ConversionError:
    """The error to raise about a file that is no whole ONNX model."""
    return ConversionError(
        f"{origin}: is no ONNX model, or is cut off or damaged",
        "Copy it again, or export it again.",
    )


def graphs_in(graph: Any, depth: int = 0) -> Iterator[Any]:
    """A graph and all graphs inside of its nodes, such as the ways of an If."""
    yield graph
    if depth >= _MOST_DEPTH:
        return
    for node in graph.node:
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                if inner.node:
                    yield from graphs_in(inner, depth + 1)


def _names_in(model: Any) -> Iterator[Any]:
    """All names that something looks up or shows."""
    bodies = [*graphs_in(model.graph), *model.functions]
    for entry in model.opset_import:
        yield entry.domain
    for function in model.functions:
        yield from (function.name, function.domain, *function.input, *function.output)
    for graph in bodies[: len(bodies) - len(model.functions)]:
        for value in (*graph.input, *graph.output, *graph.value_info):
            yield value.name
            yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
        for tensor in graph.initializer:
            yield tensor.name
            for entry in tensor.external_data:
                yield from (entry.key, entry.value)
    for body in bodies:
        for node in body.node:
            yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
            yield from (attribute.name for attribute in node.attribute)


def _tensors(graph: Any, origin: Path) -> Iterator[Any]:
    """All tensors that have values in the file."""
    for inner in graphs_in(graph):
        yield from inner.initializer
        if inner.sparse_initializer:
            raise ConversionError(
                f"{origin}: has sparse tensors", "Export the model with dense tensors."
            )
        for node in inner.node:
            for attribute in node.attribute:
                yield attribute.t
                yield from attribute.tensors


def _load_external(tensor: Any, origin: Path, most: int) -> int:
    """Put the values of a tensor into it; return their number of bytes."""
    facts = {entry.key: entry.value for entry in tensor.external_data}
    location = facts.get("location", "")
    what = f"{origin}: the values of tensor {tensor.name!r} are in {location!r}"
    path = external_file(origin.parent, location, what)
    try:
        offset, length = (int(facts.get(name) or 0) for name in ("offset", "length"))
    except ValueError as error:
        raise damage_of(origin) from error
    size = path.stat().st_size
    length = length or size - offset
    if min(offset, length) < 0 or offset + length > size:
        raise ConversionError(
            f"{what}, which has {size} bytes, too few: it is cut off or of another model",
            "Copy it again together with the .onnx.",
        )
    if length > most:
        raise ConversionError(f"{origin}: has more than 2 GB of values", _TOO_LARGE)
    with path.open("rb") as file:
        file.seek(offset)
        tensor.raw_data = file.read(length)
    del tensor.external_data[:]
    tensor.data_location = 0
    return length


def external_file(folder: Path, location: str, what: str) -> Path:
    """The file of external data, which must lie in the folder of the model.

    Args:
        folder: Folder of the model.
        location: Path of the file, as the model has it.
        what: Beginning of the message: the model and the tensor.

    Raises:
        ConversionError: It lies elsewhere, is a link, is missing or may not be read.
    """
    parts = Path(location).parts
    hint = "Keep the files that the exporter wrote together in one folder."
    if not location or "\0" in location or Path(location).is_absolute() or ".." in parts:
        raise ConversionError(f"{what}, which is no path inside of the model's folder", hint)
    path = folder
    for part in parts:
        path = path / part
        if path.is_symlink():
            raise ConversionError(f"{what}, which is a link", "Give the file itself. " + hint)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConversionError(f"{what}, which is missing", hint) from error
    if not stat.S_ISREG(mode) or not os.access(path, os.R_OK):
        raise ConversionError(f"{what}, which is no file that may be read", hint)
    return path
