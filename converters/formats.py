"""The formats of model files, by name: the one place where they are listed."""

from __future__ import annotations

from pathlib import Path

from converters.model_file import Format, ModelFile
from converters.out_folder import read_together
from converters.tflite.format import TFLITE

#: Name of a format, which is also the suffix of its files, to what is done with them.
FORMATS: dict[str, Format] = {"tflite": TFLITE}


def read_model_file(path: Path) -> ModelFile:
    """Read a model file by the format that its suffix names; without one as a .tflite.

    Args:
        path: Any file; nothing in it is trusted.

    Raises:
        ConversionError: The path holds no model file, or one that is damaged or cut off.
        IntegrityError: A conversion died while it replaced the files of this folder.
    """
    with read_together(path.parent):
        return FORMATS.get(path.suffix[1:], TFLITE).read(path)
