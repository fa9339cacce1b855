"""Crops, resizes and pads a picture to the size of an input: host and board do it alike.

Pixel i covers i to i + 1 and its centre is i + 0.5, in the picture and in the result (half-pixel
centres, as in `tf.image.resize`). `bilinear` takes the two nearest pixels of each axis however much
the picture shrinks; `antialias` widens the triangle by the factor of shrinking, as
`tf.image.resize(antialias=True)` and Pillow's BILINEAR do; `area` is the mean over the covered
area; `nearest` takes the pixel in which the centre lies.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, Tuple

from device_agent.contract.model_card import ImageInput

#: An array of numbers; numpy itself comes as an argument, because only a job may import it.
Array = Any

#: Source pixels of each result of an axis, `(size, taps)`, and their weights, which add up to 1.
_Taps = Tuple[Array, Array]


def crop_of(height: int, width: int, to: ImageInput) -> Tuple[int, int, int, int]:
    """Return top, left, height and width of the largest centred part with the aspect of `to`.

    Source: `keras.preprocessing.image.smart_resize`, sides rounded down.
    """
    high = max(1, min(height, width * to.height // to.width))
    wide = max(1, min(width, height * to.width // to.height))
    return (height - high) // 2, (width - wide) // 2, high, wide


def letterbox_of(height: int, width: int, to: ImageInput) -> Tuple[int, int, int, int]:
    """Return top, left, height and width of a whole picture inside of `to`, its aspect kept.

    Source: `tf.image.resize_with_pad`, sides and margins rounded down.
    """
    if width * to.height >= height * to.width:
        high, wide = max(1, height * to.width // width), to.width
        return max(0, (to.height * width - height * to.width) // (2 * width)), 0, high, wide
    high, wide = to.height, max(1, width * to.height // height)
    return 0, max(0, (to.width * height - width * to.height) // (2 * height)), high, wide


def fit_picture(numpy: Any, pixels: Array, to: ImageInput) -> Array:
    """Bring a picture to the size that an input takes.

    Args:
        numpy: The module.
        pixels: `(height, width, channels)`, pixels from 0 to 255.
        to: Declaration of the input.

    Returns:
        float32, `(to.height, to.width, channels)`, pixels from 0 to 255.
    """
    height, width = pixels.shape[:2]
    if to.fit == "crop":
        top, left, high, wide = crop_of(height, width, to)
        pixels = pixels[top : top + high, left : left + wide]
    if to.fit != "letterbox":
        return resize(numpy, pixels, to.height, to.width, to.resize)
    top, left, high, wide = letterbox_of(height, width, to)
    padded = numpy.full((to.height, to.width, pixels.shape[2]), to.pad, numpy.float32)
    padded[top : top + high, left : left + wide] = resize(numpy, pixels, high, wide, to.resize)
    return padded


def resize(numpy: Any, pixels: Array, height: int, width: int, method: str) -> Array:
    """Resize a picture.

    Args:
        numpy: The module.
        pixels: `(height, width, channels)`.
        height: Height of the result in pixels.
        width: Width of the result in pixels.
        method: Key of `device_agent.contract.model_card.RESIZES`.

    Returns:
        float32, `(height, width, channels)`.
    """
    if pixels.shape[:2] == (height, width):
        return pixels.astype(numpy.float32)
    taps = _METHODS[method]
    rows, row_weights = taps(numpy, pixels.shape[0], height)
    columns, column_weights = taps(numpy, pixels.shape[1], width)
    # Rows first, a tap at a time: of a large picture only the rows of the result are held.
    real = numpy.zeros((height, *pixels.shape[1:]), numpy.float32)
    for tap in range(rows.shape[1]):
        real += pixels[rows[:, tap]] * row_weights[:, tap, None, None]
    result = numpy.zeros((height, width, pixels.shape[2]), numpy.float32)
    for tap in range(columns.shape[1]):
        result += real[:, columns[:, tap]] * column_weights[None, :, tap, None]
    return result


def _nearest(numpy: Any, source: int, size: int) -> _Taps:
    pixel = ((numpy.arange(size) + 0.5) * (source / size)).astype(numpy.int64)
    return numpy.minimum(pixel, source - 1)[:, None], numpy.ones((size, 1), numpy.float32)


def _bilinear(numpy: Any, source: int, size: int) -> _Taps:
    return _triangle(numpy, source, size, 1.0)


def _antialias(numpy: Any, source: int, size: int) -> _Taps:
    return _triangle(numpy, source, size, max(1.0, source / size))


def _triangle(numpy: Any, source: int, size: int, radius: float) -> _Taps:
    """Weights that fall from the centre to 0 at `radius`; none outside of the picture."""
    centre = (numpy.arange(size) + 0.5) * (source / size)
    first = numpy.floor(centre - radius - 0.5).astype(numpy.int64)
    pixels = first[:, None] + numpy.arange(int(2 * radius) + 3)
    weights = numpy.maximum(0.0, 1 - abs(pixels + 0.5 - centre[:, None]) / radius)
    return _inside(numpy, pixels, weights, source)


def _area(numpy: Any, source: int, size: int) -> _Taps:
    """Each pixel weighs as much of it as is covered."""
    begin = numpy.arange(size) * (source / size)
    end = begin + source / size
    pixels = begin.astype(numpy.int64)[:, None] + numpy.arange(int(source / size) + 2)
    covered = numpy.minimum(pixels + 1, end[:, None]) - numpy.maximum(pixels, begin[:, None])
    return _inside(numpy, pixels, numpy.maximum(0.0, covered), source)


def _inside(numpy: Any, pixels: Array, weights: Array, source: int) -> _Taps:
    weights = numpy.where((pixels >= 0) & (pixels < source), weights, 0.0)
    weights = weights / weights.sum(axis=1, keepdims=True)
    return numpy.clip(pixels, 0, source - 1), weights.astype(numpy.float32)


_METHODS: Dict[str, Callable[[Any, int, int], _Taps]] = {
    "bilinear": _bilinear,
    "antialias": _antialias,
    "area": _area,
    "nearest": _nearest,
}
