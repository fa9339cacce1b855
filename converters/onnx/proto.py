"""The one way from an .onnx to a ModelProto: bounded, and with all its data inside."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converters.errors import ConversionError, MissingConvertExtraError


def read_proto(path: Path) -> Any:
    """Parse an .onnx, its external data included. Nothing is executed.

    Args:
        path: The file. Its external data lies in its folder.

    Returns:
        The `onnx.ModelProto`, with every tensor inside.

    Raises:
        MissingConvertExtraError: Package `onnx` is not installed.
        ConversionError: It is no ONNX model, is damaged, or its external data is missing or lies
            outside of its folder.
    """
    return parse_proto(path.read_bytes(), path)


def parse_proto(content: bytes, origin: Path) -> Any:
    """Parse the content of an .onnx. Nothing is executed.

    Args:
        content: Content of the file.
        origin: File that it is from: its name stands in messages, external data lies beside it.

    Returns:
        The `onnx.ModelProto`, with every tensor inside.

    Raises:
        MissingConvertExtraError: Package `onnx` is not installed.
        ConversionError: It is no ONNX model, is damaged, or its external data is missing or lies
            outside of its folder.
    """
    try:
        import onnx
    except ImportError as error:
        raise MissingConvertExtraError(
            "onnx, which reads .onnx files, is not installed", "Run: pip install 'kedge[onnx]'"
        ) from error
    try:
        return onnx.ModelProto.FromString(content)
    except Exception as error:  # of Protocol Buffers, whose error classes are many
        raise ConversionError(
            f"{origin}: is a damaged or cut-off .onnx of {len(content)} bytes", "Copy it again."
        ) from error
