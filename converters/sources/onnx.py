"""An .onnx as a source: everything trains, on the graph that is read from it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from converters.sources.loaded_model import LoadedModel
from converters.sources.source_file import SourceFile

#: Name of an input to its whole shape, batch axis included, in the layout of the source.
InputShapes = Mapping[str, tuple[int, ...]]


def load_onnx(source: SourceFile, own: Mapping[str, Any]) -> LoadedModel:  # noqa: ARG001
    """Load a float .onnx.

    Args:
        source: File.
        own: Not used: an .onnx has no layers of the user.

    Raises:
        ConversionError: It cannot be read, or brought to the graph; the message names what.
    """
    return load_onnx_bytes(source.path.read_bytes(), source.path, source.kind)


def load_onnx_bytes(
    content: bytes, origin: Path, kind: str, shapes: InputShapes | None = None
) -> LoadedModel:
    """Load the content of a float .onnx, such as an exporter gave it.

    Inputs and outputs of the model have their channels last, as the graph's; `predict` takes and
    gives them so, whatever the layout of the file.

    Args:
        content: Content of the .onnx, with its tensors inside.
        origin: File or folder that the user named; it stands in messages, its digest is the
            model's.
        kind: Kind of the source, a key of `SOURCES`.
        shapes: Shapes of inputs that the file leaves open; None for none.

    Raises:
        ConversionError: It cannot be read, or brought to the graph; the message names what.
    """
    raise NotImplementedError(f"{origin} ({kind}): {len(content)} bytes, {shapes}")
