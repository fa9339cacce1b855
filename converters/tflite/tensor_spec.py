"""An input or output of a .tflite: its name, shape, type and quantization."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TensorSpec:
    """One input or output of a .tflite."""

    name: str
    """The tensor's name in the file."""
    shape: tuple[int, ...]
    """Its shape, with the batch axis; -1 where it is dynamic."""
    dtype: str
    """NumPy's name of its type, such as "int8"."""
    scale: float | None
    """Real value of one step; None where the tensor is not quantized."""
    zero_point: int | None
    """The integer that stands for 0.0; None where the tensor is not quantized."""
