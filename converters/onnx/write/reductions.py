"""Pooling, means, Softmax and resizing, from TFLite to ONNX."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from converters.errors import ConversionError
from converters.onnx.write.arithmetic import axes_order
from converters.onnx.write.convolutions import window_pads
from converters.onnx.write.movements import axis_place, move, store_integers
from converters.onnx.write.values import FIRST, LAST, Values

_REDUCTIONS = {
    "MEAN": "ReduceMean",
    "REDUCE_MAX": "ReduceMax",
    "REDUCE_MIN": "ReduceMin",
    "REDUCE_PROD": "ReduceProd",
}


def _write_pool(onnx_op: str, values: Values, op: Any) -> None:
    source, result, options = int(op.inputs[0]), int(op.outputs[0]), op.builtinOptions
    kernel = [int(options.filterHeight), int(options.filterWidth)]
    attributes: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": [int(options.strideH), int(options.strideW)],
        "pads": window_pads(options, values.shape(source)[1:3], kernel),
    }
    if onnx_op == "AveragePool":
        attributes["count_include_pad"] = 0

    def add(names: list[str]) -> str:
        return values.builder.add(onnx_op, names, **attributes)

    activation = options.fusedActivationFunction
    if onnx_op == "MaxPool" and not activation:
        move(values, result, [source], FIRST, add)
    else:
        real = add([values.real(source, FIRST)])
        if onnx_op == "AveragePool":
            real = _push_ties(values, source, real, kernel[0] * kernel[1])
        values.give(result, real, FIRST, activation)


def _push_ties(values: Values, tensor: int, real: str, count: int) -> str:
    """Let means halfway between two integers be rounded as TFLite does: away from its integer 0.

    ONNX rounds them to the even integer. Means of 64 integers are halfway 1 time in 64.

    Args:
        values: Tensors.
        tensor: Tensor of which the means are.
        real: Name of the means.
        count: Number of integers in a mean, with which it changes by less than half of what lies
            between two means.
    """
    quantization = values.quantization(tensor)
    if quantization is None or values.symmetric:
        return real
    zero = -float(quantization.points[0]) * float(quantization.scales[0])
    push = 1.0 / (512 * count)
    factor, shift = (
        values.builder.store(np.array(number, np.float32), "push")
        for number in (1.0 + push, -zero * push)
    )
    return values.builder.add("Add", [values.builder.add("Mul", [real, factor]), shift])


def _write_reduction(values: Values, op: Any) -> None:
    name, source, result = values.model.op(op), int(op.inputs[0]), int(op.outputs[0])
    rank = len(values.shape(source))
    axes = sorted(axis % rank for axis in values.numbers(int(op.inputs[1])))
    keeps = bool(op.builtinOptions.keepDims)
    # Without height and width, or with all axes kept, both orders end in one that is known.
    fits = rank == 4 and (keeps or axes == [1, 2])
    order = axes_order(values, source) if fits else LAST
    if name == "MEAN" and axes == [1, 2] and rank == 4:
        real = values.builder.add("GlobalAveragePool", [values.real(source, FIRST)])
        if keeps:
            values.give(result, real, FIRST)
        else:
            shape = store_integers(values, values.shape(result))
            values.give_reshaped(result, real, shape, FIRST)
        return
    places = sorted(axis_place(axis, order) for axis in axes)
    real = values.real(source, order)
    if name == "SUM":  # of opset 13 the only one whose axes are an input
        real = values.builder.add(
            "ReduceSum", [real, store_integers(values, places)], keepdims=keeps
        )
    else:
        real = values.builder.add(_REDUCTIONS[name], [real], axes=places, keepdims=int(keeps))
    values.give(result, real, order if keeps else LAST)


def _write_softmax(onnx_op: str, values: Values, op: Any) -> None:
    source, result = int(op.inputs[0]), int(op.outputs[0])
    order = axes_order(values, source)
    real = values.real(source, order)
    beta = float(getattr(op.builtinOptions, "beta", 1.0))
    if beta not in (0.0, 1.0):
        real = values.builder.add(
            "Mul", [real, values.builder.store(np.array(beta, np.float32), "beta")]
        )
    axis = 1 if order == FIRST else -1
    values.give(result, values.builder.add(onnx_op, [real], axis=axis), order)


def _write_resize(mode: str, values: Values, op: Any) -> None:
    source, result, options = int(op.inputs[0]), int(op.outputs[0]), op.builtinOptions
    height, width = values.shape(result)[1:3]
    channels = values.shape(result)[3]
    sizes = store_integers(values, [values.shape(result)[0], channels, height, width])
    way = "asymmetric"
    if options.alignCorners:
        way = "align_corners"
    elif options.halfPixelCenters:
        way = "half_pixel"
    attributes = {"coordinate_transformation_mode": way, "mode": mode}
    if mode == "nearest":
        attributes["nearest_mode"] = "floor" if way == "asymmetric" else "round_prefer_ceil"

    def add(names: list[str]) -> str:
        return values.builder.add("Resize", [names[0], "", "", sizes], **attributes)

    if mode == "nearest":
        move(values, result, [source], FIRST, add)
    else:
        values.give(result, add([values.real(source, FIRST)]), FIRST)


def _write_l2_normalization(values: Values, op: Any) -> None:
    source, result = int(op.inputs[0]), int(op.outputs[0])
    real = values.builder.add("LpNormalization", [values.real(source)], axis=-1, p=2)
    values.give(result, real)


def _write_arg(onnx_op: str, values: Values, op: Any) -> None:
    source, result = int(op.inputs[0]), int(op.outputs[0])
    (axis,) = values.numbers(int(op.inputs[1]))
    name = values.builder.add(onnx_op, [values.real(source)], axis=axis, keepdims=0)
    dtype = values.dtype(result)
    if dtype not in ("int32", "int64"):
        raise ConversionError(f"{values.model.op(op)} gives {dtype}", "Let it give int32.")
    if dtype == "int32":
        name = values.builder.add("Cast", [name], to=6)
    values.set(result, name)


#: Op of TFLite to the function that writes it.
RULES: dict[str, Callable[[Values, Any], None]] = {
    "AVERAGE_POOL_2D": partial(_write_pool, "AveragePool"),
    "MAX_POOL_2D": partial(_write_pool, "MaxPool"),
    **dict.fromkeys([*_REDUCTIONS, "SUM"], _write_reduction),
    "SOFTMAX": partial(_write_softmax, "Softmax"),
    "LOG_SOFTMAX": partial(_write_softmax, "LogSoftmax"),
    "RESIZE_BILINEAR": partial(_write_resize, "linear"),
    "RESIZE_NEAREST_NEIGHBOR": partial(_write_resize, "nearest"),
    "L2_NORMALIZATION": _write_l2_normalization,
    "ARG_MAX": partial(_write_arg, "ArgMax"),
    "ARG_MIN": partial(_write_arg, "ArgMin"),
}
