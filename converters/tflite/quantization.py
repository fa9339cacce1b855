"""Real numbers and the integers that stand for them in a .tflite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from converters.data.fields import joined, part
from converters.tensor_spec import TensorSpec, dequantize, quantize

Array = npt.NDArray[Any]


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
