"""Ops that compute each number from those at the same place, from TFLite to ONNX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.onnx.write.values import BOUNDS, FIRST, LAST, TO_FIRST, Values

Array = npt.NDArray[Any]
_Compute = Callable[[Values, str, Any], str]

_BINARY = {
    "ADD": "Add",
    "SUB": "Sub",
    "MUL": "Mul",
    "DIV": "Div",
    "POW": "Pow",
    "MINIMUM": "Min",
    "MAXIMUM": "Max",
    "EQUAL": "Equal",
    "LESS": "Less",
    "LESS_EQUAL": "LessOrEqual",
    "GREATER": "Greater",
    "GREATER_EQUAL": "GreaterOrEqual",
    "LOGICAL_AND": "And",
    "LOGICAL_OR": "Or",
}
_UNARY = {
    "LOGISTIC": "Sigmoid",
    "TANH": "Tanh",
    "ELU": "Elu",
    "EXP": "Exp",
    "SQRT": "Sqrt",
    "NEG": "Neg",
    "ABS": "Abs",
    "SIN": "Sin",
    "COS": "Cos",
    "LOG": "Log",
    "FLOOR": "Floor",
    "CEIL": "Ceil",
    "ROUND": "Round",
    "SIGN": "Sign",
    "LOGICAL_NOT": "Not",
}
#: Number of a type of TFLite by NumPy's name, for casts in ONNX.
_CAST_TYPES = {
    "float32": 1,
    "uint8": 2,
    "int8": 3,
    "int16": 5,
    "int32": 6,
    "int64": 7,
    "bool": 9,
    "float16": 10,
    "float64": 11,
}

#: Bits behind the first one of the larger factor of a sum.
_SUM_BITS = 20


def axes_order(values: Values, *tensors: int) -> str:
    """Return the order of axes in which an op on these tensors needs no transposition.

    All have the order of the convolutions where one is there in that order, and each other one is a
    picture, too, or is stored and can be brought to that order.
    """
    some_first = any(values.is_first(tensor) for tensor in tensors)
    fits = all(
        len(values.shape(tensor)) == 4 or values.constant(tensor) is not None for tensor in tensors
    )
    return FIRST if some_first and fits else LAST


def operand(values: Values, tensor: int, order: str, step: np.float32 | None = None) -> str:
    """Return the real numbers of an operand; a stored one of fewer axes gets those it lacks.

    Args:
        values: Tensors.
        tensor: Operand.
        order: Order of axes.
        step: Real number of one integer step, which replaces the operand's own; None for that.
    """
    shape = values.shape(tensor)
    if order == LAST or len(shape) == 4:
        return values.real(tensor, order, step)
    name = values.real(tensor, step=step)
    if int(np.prod(shape)) == 1:
        return name
    wide = (1,) * (4 - len(shape)) + shape
    target = np.array([wide[axis] for axis in TO_FIRST], np.int64)
    if sum(axis > 1 for axis in wide) > 1:  # more than a number a channel: axes change places
        full = values.builder.store(np.array(wide, np.int64), "shape")
        name = values.builder.add("Reshape", [name, full])
        return values.builder.add("Transpose", [name], perm=list(TO_FIRST))
    return values.builder.add("Reshape", [name, values.builder.store(target, "shape")])


def _write_binary(onnx_op: str, values: Values, op: Any) -> None:
    tensors, result = [int(i) for i in op.inputs], int(op.outputs[0])
    order = axes_order(values, *tensors) if len(values.shape(result)) == 4 else LAST
    steps = _steps_of_sum(values, tensors, result) if onnx_op in ("Add", "Sub") else (None, None)
    inputs = [
        operand(values, tensor, order, step) for tensor, step in zip(tensors, steps, strict=True)
    ]
    real = values.builder.add(onnx_op, inputs, values.model.name(result) + "_" + onnx_op.lower())
    activation = getattr(op.builtinOptions, "fusedActivationFunction", 0)
    values.give(result, real, order, activation)


def _steps_of_sum(
    values: Values, tensors: Sequence[int], result: int
) -> tuple[np.float32, ...] | tuple[None, ...]:
    """Real numbers of one step of the terms of a sum, as the kernels of LiteRT round them.

    XNNPACK multiplies both terms by whole numbers: their scales by that of the sum, times a power
    of two by which the larger one becomes a number of 21 bits. A sum is then off by up to 1e-4 of a
    step; with the exact scales, 1 sum in 6,000 was rounded to the neighbouring step.
    """
    of_all = [values.quantization(tensor) for tensor in (*tensors, result)]
    if values.symmetric or any(each is None or len(each.scales) > 1 for each in of_all):
        return (None,) * len(tensors)
    *terms, of_sum = (float(each.scales[0]) for each in of_all if each is not None)
    ratios = [float(np.float32(term) / np.float32(of_sum)) for term in terms]
    unit = 2.0 ** (_SUM_BITS - int(np.floor(np.log2(max(ratios)))))
    return tuple(np.float32(round(ratio * unit) / unit * of_sum) for ratio in ratios)


def _write_unary(compute: _Compute, values: Values, op: Any) -> None:
    source, result = int(op.inputs[0]), int(op.outputs[0])
    order = axes_order(values, source)
    values.give(result, compute(values, values.real(source, order), op), order)


def _plain(onnx_op: str, values: Values, name: str, op: Any) -> str:
    del op
    return values.builder.add(onnx_op, [name])


def _number(values: Values, number: float) -> str:
    return values.builder.store(np.array(number, np.float32), "number")


def _bounded(name: str, values: Values, real: str, op: Any) -> str:
    low, high = BOUNDS[name]
    return values.bound(int(op.outputs[0]), real, low, high)


def _leaky_relu(values: Values, name: str, op: Any) -> str:
    return values.builder.add("LeakyRelu", [name], alpha=float(op.builtinOptions.alpha))


def _hard_swish(values: Values, name: str, op: Any) -> str:
    del op
    gate = values.builder.add("HardSigmoid", [name], alpha=1 / 6, beta=0.5)
    return values.builder.add("Mul", [name, gate])


def _rsqrt(values: Values, name: str, op: Any) -> str:
    del op
    return values.builder.add("Reciprocal", [values.builder.add("Sqrt", [name])])


def _square(values: Values, name: str, op: Any) -> str:
    del op
    return values.builder.add("Mul", [name, name])


def _gelu(values: Values, name: str, op: Any) -> str:
    add, number = values.builder.add, partial(_number, values)
    if op.builtinOptions is not None and op.builtinOptions.approximate:
        cube = add("Mul", [add("Mul", [add("Mul", [name, name]), name]), number(0.044715)])
        inner = add("Mul", [add("Add", [name, cube]), number(np.sqrt(2 / np.pi))])
        curve = add("Tanh", [inner])
    else:
        curve = add("Erf", [add("Mul", [name, number(np.sqrt(0.5))])])
    half = add("Mul", [name, number(0.5)])
    return add("Mul", [half, add("Add", [curve, number(1.0)])])


def _write_squared_difference(values: Values, op: Any) -> None:
    tensors, result = [int(i) for i in op.inputs], int(op.outputs[0])
    order = axes_order(values, *tensors)
    real = values.builder.add("Sub", [operand(values, tensor, order) for tensor in tensors])
    values.give(result, values.builder.add("Mul", [real, real]), order)


def _write_floor_division(values: Values, op: Any) -> None:
    tensors, result = [int(i) for i in op.inputs], int(op.outputs[0])
    real = values.builder.add("Div", [values.real(tensor) for tensor in tensors])
    if values.dtype(result).startswith("float"):
        real = values.builder.add("Floor", [real])
    values.give(result, real)


def _write_prelu(values: Values, op: Any) -> None:
    source, slope, result = int(op.inputs[0]), int(op.inputs[1]), int(op.outputs[0])
    order = axes_order(values, source, slope)
    inputs = [values.real(source, order), operand(values, slope, order)]
    if order == FIRST and len(values.shape(slope)) == 3:
        first = np.array([values.shape(slope)[axis] for axis in (2, 0, 1)], np.int64)
        inputs[1] = values.builder.add("Reshape", [inputs[1], values.builder.store(first, "shape")])
    values.give(result, values.builder.add("PRelu", inputs), order)


def _write_select(values: Values, op: Any) -> None:
    condition, *others = (int(i) for i in op.inputs)
    inputs = [values.get(condition), *(values.real(tensor) for tensor in others)]
    values.give(int(op.outputs[0]), values.builder.add("Where", inputs))


def _write_cast(values: Values, op: Any) -> None:
    source, result = int(op.inputs[0]), int(op.outputs[0])
    order = axes_order(values, source)
    number = _CAST_TYPES[values.dtype(result)]
    name = values.builder.add("Cast", [values.real(source, order)], to=number)
    values.give(result, name, order)


def _write_quantize(values: Values, op: Any) -> None:
    """Write QUANTIZE and DEQUANTIZE; one that only writes the same numbers in another type goes."""
    source, result = int(op.inputs[0]), int(op.outputs[0])
    order = axes_order(values, source)
    if values.dtype(source) == "float16":
        name = values.builder.add("Cast", [values.get(source, order)], to=_CAST_TYPES["float32"])
        values.give(result, name, order)
    elif _only_shifts(values, source, result):
        values.set(result, values.get(source, order), order)
    else:
        values.give(result, values.real(source, order), order)


def _only_shifts(values: Values, source: int, result: int) -> bool:
    of_source, of_result = values.quantization(source), values.quantization(result)
    if of_source is None or of_result is None or values.symmetric:
        return False
    points = [
        int(q.points[0]) + (128 if values.dtype(tensor) == "int8" else 0)
        for q, tensor in ((of_source, source), (of_result, result))
    ]
    return bool(of_source.scales[0] == of_result.scales[0]) and points[0] == points[1]


#: Op of TFLite to the function that writes it.
RULES: dict[str, Callable[[Values, Any], None]] = {
    **{op: partial(_write_binary, onnx_op) for op, onnx_op in _BINARY.items()},
    **{op: partial(_write_unary, partial(_plain, onnx_op)) for op, onnx_op in _UNARY.items()},
    **{op: partial(_write_unary, partial(_bounded, op)) for op in BOUNDS},
    "LEAKY_RELU": partial(_write_unary, _leaky_relu),
    "HARD_SWISH": partial(_write_unary, _hard_swish),
    "RSQRT": partial(_write_unary, _rsqrt),
    "SQUARE": partial(_write_unary, _square),
    "GELU": partial(_write_unary, _gelu),
    "SQUARED_DIFFERENCE": _write_squared_difference,
    "FLOOR_DIV": _write_floor_division,
    "PRELU": _write_prelu,
    "SELECT": _write_select,
    "SELECT_V2": _write_select,
    "CAST": _write_cast,
    "QUANTIZE": _write_quantize,
    "DEQUANTIZE": _write_quantize,
}
