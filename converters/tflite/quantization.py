"""Real numbers and the integers that stand for them in a .tflite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from converters.data.fields import join_fields, select_field
from converters.tensor_spec import TensorSpec, dequantize, quantize

Array = npt.NDArray[Any]


def quantize_inputs(specs: Sequence[TensorSpec], batch: Array) -> dict[str, Array]:
    """Convert real numbers to what the inputs of a file take.

    Args:
        specs: The inputs.
        batch: Samples, float32, shape (n, ...); for several inputs a field for each, by its name.

    Returns:
        Name of each input to its values, shape (n, ...), in its own type.
    """
    several = len(specs) > 1
    return {
        spec.name: quantize(select_field(batch, spec.name if several else ""), spec)
        for spec in specs
    }


def dequantize_outputs(
    specs: Sequence[TensorSpec], outputs: Mapping[str, Array], names: Sequence[str]
) -> Array:
    """Convert what the outputs of a file hold to the real numbers that they stand for.

    Args:
        specs: The outputs.
        outputs: Name of each output to its values, shape (n, ...), in its own type.
        names: Names of several outputs, in the order of the fields; empty for a single one.

    Returns:
        Real numbers, float32, shape (n, ...); for several outputs a field for each name.
    """
    of_each = {spec.name: dequantize(outputs[spec.name], spec) for spec in specs}
    return join_fields({name: of_each[name] for name in names}) if names else of_each[specs[0].name]
