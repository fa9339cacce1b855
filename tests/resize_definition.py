"""Resizing straight from its definition: slow, in float64, an axis as a matrix."""

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def resized(pixels: Array, height: int, width: int, method: str) -> Array:
    """A picture `(height, width, channels)` in another size; float64."""
    rows, columns = matrix(method, pixels.shape[0], height), matrix(method, pixels.shape[1], width)
    return np.einsum("yi,xj,ijc->yxc", rows, columns, pixels.astype(float), optimize=True)


def weight(method: str, distance: float, scale: float) -> float:
    """How much a pixel weighs whose centre is so far from that of the result, in pixels."""
    if method == "area":  # what of the pixel lies inside of the covered part
        covered = min(0.5, distance + scale / 2) - max(-0.5, distance - scale / 2)
        return max(0.0, covered)
    radius = max(1.0, scale) if method == "antialias" else 1.0
    return max(0.0, 1 - abs(distance) / radius)


def matrix(method: str, source: int, size: int) -> Array:
    """Of each result of an axis, how much each pixel weighs; 1 in all."""
    scale = source / size
    made = np.zeros((size, source))
    for result in range(size):
        centre = (result + 0.5) * scale
        if method == "nearest":
            made[result, min(source - 1, int(centre))] = 1
            continue
        for pixel in range(source):
            made[result, pixel] = weight(method, centre - (pixel + 0.5), scale)
        made[result] /= made[result].sum()
    return made
