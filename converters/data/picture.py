"""Decodes a picture: its orientation, its depth and its colors; boards have no decoder."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps

Pixels = npt.NDArray[np.uint8]

#: Pillow modes of more than 8 bits a channel: Pillow would clip them to 255 without a message.
DEEP_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N", "F")
#: Values of the EXIF orientation that turn or mirror a picture.
_ORIENTATIONS = range(2, 9)


def is_turned(image: Any) -> bool:
    """Whether an opened picture has an EXIF orientation other than upright."""
    return image.getexif().get(ExifTags.Base.Orientation, 1) in _ORIENTATIONS


def picture_pixels(image: Any, mode: str, exif: bool, white: int) -> Pixels:
    """Decode the pixels of an opened picture.

    Args:
        image: Opened picture of Pillow.
        mode: "RGB" or "L".
        exif: Whether to turn it as its EXIF orientation says.
        white: Number that stands for 255 in a picture of more than 8 bits a channel; larger ones
            are cut.

    Returns:
        uint8, shape (height, width, 3) for "RGB" and (height, width) for "L".
    """
    if exif:
        image = ImageOps.exif_transpose(image)
    if image.mode in DEEP_MODES:
        numbers = np.asarray(image).astype(np.float32) * np.float32(255 / white)
        image = Image.fromarray(np.clip(np.round(numbers), 0, 255).astype(np.uint8))
    return np.asarray(image.convert(mode), np.uint8)
