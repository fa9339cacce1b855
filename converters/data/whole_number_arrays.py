"""Arrays for inputs of whole numbers. Pure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.errors import ConversionError

Array = npt.NDArray[Any]


def check_whole_numbers(path: Path, name: str, array: Array, dtype: str) -> None:
    """Refuse numbers that an input of whole numbers cannot take as they are.

    Args:
        path: Origin of the array, for messages.
        name: Name of the array, for messages.
        array: Real numbers of any shape.
        dtype: Type of the input, such as "int32".

    Raises:
        ConversionError: A number is no whole number, or beyond the type.
    """
    limits = np.iinfo(dtype) if dtype != "bool" else None
    low, high = (0, 1) if limits is None else (limits.min, limits.max)
    wrong = (array < low) | (array > high)
    if array.dtype.kind == "f":
        wrong |= array != np.floor(array)
    if wrong.any():
        raise ConversionError(
            f"{path}: {name} has the number {array[wrong].flat[0]}, the model takes {dtype}: whole "
            f"numbers from {low} to {high}",
            "Give the numbers that the model was trained on, such as the numbers of words.",
        )
