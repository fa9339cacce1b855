"""Sizes of layers that a Keras file declares, held against the size of the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from converters.errors import ConversionError
from converters.sources.architecture import dicts_and_lists

#: Keys of layers to each number of which at least one stored weight belongs.
_KEYS = ("units", "filters", "input_dim", "output_dim")
#: Numbers of a layer that a small file may declare: an array of zeros may be stored packed.
_ALWAYS = 100_000


def refuse_declared_weights(path: Path, config: Any, size_bytes: int) -> None:
    """Refuse a model with a layer that has more weights than its file can hold.

    Args:
        path: File of the model, for messages.
        config: JSON of the model.
        size_bytes: Size of the file.

    Raises:
        ConversionError: Names the layer and its number.
    """
    for item in dicts_and_lists(config):
        inner = item.get("config") if isinstance(item, dict) else None
        if not isinstance(inner, dict):
            continue
        for key in _KEYS:
            number = inner.get(key)
            if isinstance(number, int) and number > max(size_bytes, _ALWAYS):
                raise ConversionError(
                    f"{path}: layer {str(inner.get('name', ''))!r} declares {key} = {number}, and "
                    f"the file has {size_bytes} bytes, which cannot hold its weights",
                    "The file is damaged or incomplete: save the model again with "
                    "`model.save(...)`.",
                )
