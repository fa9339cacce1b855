"""Ranges of variables that a model reads and assigns, such as those of a stateful LSTM.

The tensor that reads a variable and the tensor that is assigned hold the numbers of one state. If
each had the range of its own values, a state that begins with zeros would be read as zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converters.tflite.unpacked import UnpackedModel

_READ, _ASSIGN, _HANDLE = "READ_VARIABLE", "ASSIGN_VARIABLE", "VAR_HANDLE"


def keeps_variables(content: bytes) -> bool:
    """Whether a file assigns a variable that it reads at the next inference."""
    model = UnpackedModel(content)
    return any(model.op(operator) == _ASSIGN for operator in model.operators)


def join_variable_ranges(
    content: bytes, ranges: Mapping[int, tuple[float, float]]
) -> dict[int, tuple[float, float]]:
    """Give all tensors of one variable the widest range of them.

    Args:
        content: Float .tflite.
        ranges: Position of each activation's tensor to its lowest and highest number.

    Returns:
        Ranges of all activations.
    """
    model = UnpackedModel(content)
    names = {
        int(operator.outputs[0]): _name(operator)
        for operator in model.operators
        if model.op(operator) == _HANDLE
    }
    tensors: dict[str, list[int]] = {}
    for operator in model.operators:
        if model.op(operator) in (_READ, _ASSIGN):
            values = operator.outputs[0] if model.op(operator) == _READ else operator.inputs[1]
            tensors.setdefault(names.get(int(operator.inputs[0]), ""), []).append(int(values))
    joined = dict(ranges)
    for of_variable in tensors.values():
        bounds = [ranges[tensor] for tensor in of_variable if tensor in ranges]
        if bounds:
            widest = min(low for low, _ in bounds), max(high for _, high in bounds)
            joined.update(dict.fromkeys(of_variable, widest))
    return joined


def _name(handle: Any) -> str:
    options = handle.builtinOptions
    return "" if options is None else f"{options.container!r} {options.sharedName!r}"
