"""Names of variants, from what a model computes with, in the order of preference. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from converters.model_file import ModelFile

#: Kinds of numbers that a model computes with, the fastest first.
INT8, INT16, INT8_WEIGHTS, FLOAT16, FLOAT = "int8", "int16", "int8_weights", "float16", "float"
_FASTEST_FIRST = (INT8, INT16, INT8_WEIGHTS, FLOAT16, FLOAT)


def name_variants(models: Sequence[ModelFile]) -> dict[int, str]:
    """Name models such as `edgetpu_int8`, `cpu_int8`, `cpu_float` and `cpu_int8_onnx`.

    Args:
        models: Models of a release.

    Returns:
        Name by position among the models, the preferred first: an Edge TPU before the CPU, fewer
        bits before more, else in the order of the models. A number makes equal names different.
    """
    order = sorted(range(len(models)), key=lambda position: _rank(models[position]))
    names: dict[int, str] = {}
    for position in order:
        model = models[position]
        name = f"{'edgetpu' if model.edgetpu else 'cpu'}_{number_kind(model)}"
        name += "" if model.format == "tflite" else f"_{model.format}"
        equal = sum(_base(other) == name for other in names.values())
        names[position] = f"{name}-{equal + 1}" if equal else name
    return names


def number_kind(model: ModelFile) -> str:
    """Return the numbers that a model computes with: one of the constants of this module."""
    values = {tensor.dtype for tensor in model.tensors if not tensor.is_constant}
    weights = {tensor.dtype for tensor in model.tensors if tensor.is_constant and tensor.scales}
    constants = {tensor.dtype for tensor in model.tensors if tensor.is_constant}
    if model.edgetpu or values & {"int8", "uint8"}:
        return INT8
    if "int16" in values:
        return INT16
    if weights & {"int8", "uint8", "int4"}:
        return INT8_WEIGHTS
    return FLOAT16 if "float16" in constants else FLOAT


def _rank(model: ModelFile) -> tuple[bool, int]:
    return not model.edgetpu, _FASTEST_FIRST.index(number_kind(model))


def _base(name: str) -> str:
    return name.partition("-")[0]
