"""Samples resized for a smaller input: the mean over the covered area, as the board does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.dataset import Samples
from device_agent.contract.fitting import resize

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]

#: Way of resizing, a key of `device_agent.contract.model_card.RESIZES`: `resize` of a model.toml.
AREA = "area"
_ROWS_AT_ONCE = 1024


def resize_weights(size: int, new_size: int) -> Floats:
    """Share of each old place in each new place of an axis.

    Args:
        size: Number of places before.
        new_size: Number of places after.

    Returns:
        float32, shape (new_size, size); each row adds up to 1.
    """
    weights: Floats = resize(np, np.eye(size)[:, :, None], new_size, size, AREA)[:, :, 0]
    return weights


def resize_batch(batch: Array, shape: Sequence[int]) -> Floats:
    """Resize all axes between the batch and the channels.

    Args:
        batch: Samples, any real dtype, shape (n, *sizes, channels).
        shape: New shape without the batch axis: (*sizes, channels).

    Returns:
        float32, shape (n, *shape).
    """
    result = batch.astype(np.float32)
    for axis, new_size in enumerate(shape[:-1], start=1):
        if result.shape[axis] != new_size:
            weights = resize_weights(result.shape[axis], new_size)
            result = np.moveaxis(np.tensordot(weights, result, (1, axis)), 0, axis)
    return np.ascontiguousarray(result)


def resize_samples(samples: Samples, shape: Sequence[int] | None) -> Samples:
    """Resize samples for a file.

    Args:
        samples: Samples of one input.
        shape: Shape that the file takes, without the batch axis; None to leave the samples as they
            are.
    """
    if shape is None or samples.stored.shape[1:] == tuple(shape):
        return samples
    stored = np.empty((len(samples), *shape), np.float32)
    for start in range(0, len(samples), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        stored[rows] = resize_batch(samples.stored[rows], shape)
    return replace(samples, stored=stored)
