"""Real numbers and the integers that stand for them in a .tflite."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from converters.conversion import TensorSpec

Array = npt.NDArray[Any]


def quantize(batch: npt.NDArray[np.float32], spec: TensorSpec) -> Array:
    """Real numbers as a file's input takes them.

    Rounds half to even and clips to the type, as TFLite's own QUANTIZE op rounds to nearest.

    Args:
        batch: float32, any shape.
        spec: The input; a float one takes the batch as it is.

    Returns:
        Same shape, `spec.dtype`.
    """
    if spec.scale is None or spec.zero_point is None:
        return batch.astype(spec.dtype)
    limits = np.iinfo(spec.dtype)
    steps = np.round(batch / np.float32(spec.scale)) + spec.zero_point
    quantized: Array = np.clip(steps, limits.min, limits.max).astype(spec.dtype)
    return quantized


def dequantize(values: Array, spec: TensorSpec) -> npt.NDArray[np.float32]:
    """Real numbers that a file's output stands for; same shape."""
    if spec.scale is None or spec.zero_point is None:
        return values.astype(np.float32)
    return ((values.astype(np.float32) - spec.zero_point) * np.float32(spec.scale)).astype(
        np.float32
    )
