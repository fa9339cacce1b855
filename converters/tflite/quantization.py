"""Real numbers and the integers that stand for them in a .tflite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.data.fields import joined, part
from converters.tflite.tensor_spec import TensorSpec

Array = npt.NDArray[Any]


def quantize(batch: Array, spec: TensorSpec) -> Array:
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


def taken_by(specs: Sequence[TensorSpec], batch: Array) -> dict[str, Array]:
    """Real numbers as the inputs of a file take them.

    Args:
        specs: The inputs.
        batch: float32, shape (n, ...); for several inputs a field for each, called as it is.
    """
    several = len(specs) > 1
    return {spec.name: quantize(part(batch, spec.name if several else ""), spec) for spec in specs}


def given_by(
    specs: Sequence[TensorSpec], outputs: Mapping[str, Array], names: Sequence[str]
) -> Array:
    """Real numbers that the outputs of a file stand for.

    Args:
        specs: The outputs.
        outputs: Name of each to its numbers, shape (n, ...).
        names: Of several outputs in the order of the fields; empty for a single one.

    Returns:
        float32, shape (n, ...), or a field for each name.
    """
    of_each = {spec.name: dequantize(outputs[spec.name], spec) for spec in specs}
    return joined({name: of_each[name] for name in names}) if names else of_each[specs[0].name]
