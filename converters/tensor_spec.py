"""An input or output of a model file, and the real numbers that its integers stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a model file."""

    name: str
    """The tensor's name in the file; with its position in front where a name is empty or not the
    only one of its kind (`device_agent.contract.tensors.unique_names`)."""
    shape: tuple[int, ...]
    """Its shape, with the batch axis; -1 where it is dynamic."""
    dtype: str
    """NumPy's name of its type, such as "int8"."""
    scale: float | None
    """Real value of one step; None where the tensor is not quantized."""
    zero_point: int | None
    """The integer that stands for 0.0; None where the tensor is not quantized."""


def quantize(batch: Array, spec: TensorSpec) -> Array:
    """Convert real numbers to what an input of a file takes.

    Rounds half to even and clips to the type, as TFLite's own QUANTIZE op rounds to nearest.

    Args:
        batch: Real numbers, float32, any shape.
        spec: The input. An input that is not quantized takes them as its own type.

    Returns:
        Values in the type `spec.dtype`, shape of `batch`.
    """
    if spec.scale is None or spec.zero_point is None:
        return batch.astype(spec.dtype)
    limits = np.iinfo(spec.dtype)
    steps = np.round(batch / np.float32(spec.scale)) + spec.zero_point
    quantized: Array = np.clip(steps, limits.min, limits.max).astype(spec.dtype)
    return quantized


def dequantize(values: Array, spec: TensorSpec) -> npt.NDArray[np.float32]:
    """Convert what an output of a file holds to the real numbers that it stands for.

    Args:
        values: Values in the type `spec.dtype`, any shape.
        spec: The output.

    Returns:
        Real numbers, float32, shape of `values`.
    """
    if spec.scale is None or spec.zero_point is None:
        return values.astype(np.float32)
    return ((values.astype(np.float32) - spec.zero_point) * np.float32(spec.scale)).astype(
        np.float32
    )
