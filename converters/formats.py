"""The formats of model files, by name: the one place where they are listed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from converters.foreign_files import is_onnx
from converters.model_file import Format, ModelFile
from converters.onnx.format import ONNX
from converters.out_folder import read_together
from converters.tflite.format import TFLITE

#: Name of a format, which is also the suffix of its files, to what is done with them.
FORMATS: dict[str, Format] = {"tflite": TFLITE, "onnx": ONNX}


def read_model_file(path: Path) -> ModelFile:
    """Read a model file by the format that its suffix names; without one by its first bytes.

    Args:
        path: Any file; nothing in it is trusted.

    Raises:
        MissingConvertExtraError: A package that reads this format is not installed.
        ConversionError: The path holds no model file, or one that is damaged or cut off.
        IntegrityError: A conversion died while it replaced the files of this folder.
    """
    with read_together(path.parent):
        return FORMATS[format_of(path)].read(path)


def format_of(path: Path) -> str:
    """Return the format of a file, a key of `FORMATS`: "tflite" where nothing tells."""
    suffix = path.suffix[1:].lower()
    if suffix in FORMATS:
        return suffix
    with suppress(OSError):
        if path.is_file() and is_onnx(path):
            return "onnx"
    return "tflite"
