"""From the pixels of a picture to what a model's input takes, as `model.toml` says it.

The order: color, crop, resize, pad, scale, layout. Nothing is rounded in between: a resized pixel
is float32, as in TensorFlow, and is rounded once, when the input is quantized.

"""

from __future__ import annotations

from typing import Any

from device_agent.contract.fitting import fit_picture
from device_agent.contract.model_card import ImageInput

#: An array of numbers; numpy itself comes as an argument, because only a job may import it.
Array = Any

#: ITU-R 601 luma in 1/65536, as Pillow's mode L: 0.299 R + 0.587 G + 0.114 B, rounded.
_LUMA = (19595, 38470, 7471)

_ROWS_AT_ONCE = 256


def preprocess(numpy: Any, pixels: Array, to: ImageInput) -> Array:
    """Turn a picture into real numbers for a model's input.

    Args:
        numpy: The module.
        pixels: uint8, `(height, width, 3)`, red, green and blue; may be a memory map.
        to: Declaration of the input.

    Returns:
        float32, without the batch axis: `(height, width, channels)` for NHWC.
    """
    if to.color == "gray":
        pixels = _gray(numpy, pixels)
    elif to.color == "BGR":
        pixels = pixels[:, :, ::-1]
    real = fit_picture(numpy, pixels, to)
    if to.mean is not None and to.std is not None:
        real = (real - numpy.float32(to.mean)) / numpy.float32(to.std)
    elif (to.scale, to.offset) != (1.0, 0.0):
        real = real * numpy.float32(to.scale) + numpy.float32(to.offset)
    if to.layout == "NCHW":
        return numpy.ascontiguousarray(real.transpose(2, 0, 1))
    return real[:, :, 0] if to.layout == "NHW" else real


def _gray(numpy: Any, pixels: Array) -> Array:
    gray = numpy.empty(pixels.shape[:2], numpy.uint8)
    red, green, blue = _LUMA
    for row in range(0, len(pixels), _ROWS_AT_ONCE):
        some = pixels[row : row + _ROWS_AT_ONCE].astype(numpy.uint32)
        luma = some[:, :, 0] * red + some[:, :, 1] * green + some[:, :, 2] * blue
        gray[row : row + _ROWS_AT_ONCE] = (luma + 32768) >> 16
    return gray[:, :, None]
