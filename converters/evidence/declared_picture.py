"""The declaration of pictures that a user wrote into a model.toml before there is a .tflite."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from converters.evidence.model_toml import MODEL_TOML, is_edited, read_model_toml
from device_agent.contract.model_card import ImageInput


def declared_picture(folders: Sequence[Path]) -> ImageInput | None:
    """Read how pictures come to the input of a model.

    Args:
        folders: Folders that may have a model.toml; the first that a person wrote or edited
            counts.

    Returns:
        The declaration of its only input; None where there is none, or the input takes arrays.

    Raises:
        ModelTomlError: A model.toml that a person wrote is wrong.
    """
    for folder in folders:
        path = folder / MODEL_TOML
        if path.is_file() and is_edited(path):
            inputs = list(read_model_toml(path, None).inputs.values())
            if len(inputs) == 1 and isinstance(inputs[0], ImageInput):
                return inputs[0]
    return None
