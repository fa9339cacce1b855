"""Convolutions and products of matrices, from TFLite to ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert import schema_py_generated as schema

from converters.onnx.write.values import FIRST, LAST, Quantization, Values

Array = npt.NDArray[Any]

_SAME = schema.Padding.SAME


def same_pads(size: int, kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """Return what is added before and behind an axis by TFLite's padding SAME."""
    reach = (kernel - 1) * dilation + 1
    total = max(0, (-(-size // stride) - 1) * stride + reach - size)
    return total // 2, total - total // 2


def window_pads(options: Any, sizes: Sequence[int], kernel: Sequence[int]) -> list[int]:
    """Return ONNX's pads of a window that moves over height and width."""
    if options.padding != _SAME:
        return [0, 0, 0, 0]
    strides = (options.strideH, options.strideW)
    dilations = (getattr(options, "dilationHFactor", 1), getattr(options, "dilationWFactor", 1))
    pairs = [same_pads(*each) for each in zip(sizes, kernel, strides, dilations, strict=True)]
    return [pairs[0][0], pairs[1][0], pairs[0][1], pairs[1][1]]


def write_conv(values: Values, op: Any) -> None:
    """Write CONV_2D and DEPTHWISE_CONV_2D as Conv."""
    is_depthwise = values.model.op(op) == "DEPTHWISE_CONV_2D"
    source, kernel, result = int(op.inputs[0]), int(op.inputs[1]), int(op.outputs[0])
    bias = int(op.inputs[2]) if len(op.inputs) > 2 else -1
    options, sizes, shape = op.builtinOptions, values.shape(source), values.shape(kernel)
    permutation = (3, 0, 1, 2) if is_depthwise else (0, 3, 1, 2)
    groups = sizes[3] if is_depthwise else sizes[3] // shape[3]
    inputs = [values.real(source, FIRST), write_weights(values, kernel, permutation)]
    if bias >= 0:
        inputs.append(write_bias(values, bias, source, kernel))
    real = values.builder.add(
        "Conv",
        inputs,
        values.model.name(result) + "_conv",
        kernel_shape=list(shape[1:3]),
        strides=[int(options.strideH), int(options.strideW)],
        dilations=[int(options.dilationHFactor), int(options.dilationWFactor)],
        pads=window_pads(options, sizes[1:3], shape[1:3]),
        group=int(groups),
    )
    values.give(result, real, FIRST, options.fusedActivationFunction)


def write_conv_transpose(values: Values, op: Any) -> None:
    """Write TRANSPOSE_CONV as ConvTranspose."""
    kernel, source, result = int(op.inputs[1]), int(op.inputs[2]), int(op.outputs[0])
    bias = int(op.inputs[3]) if len(op.inputs) > 3 else -1
    options, shape = op.builtinOptions, values.shape(kernel)
    before, behind, more = [], [], []
    for axis, stride in ((1, options.strideH), (2, options.strideW)):
        size, out = values.shape(source)[axis], values.shape(result)[axis]
        total = (size - 1) * int(stride) + shape[axis] - out
        before.append(max(0, total) // 2)
        behind.append(max(0, total) - max(0, total) // 2)
        more.append(max(0, -total))
    inputs = [values.real(source, FIRST), write_weights(values, kernel, (3, 0, 1, 2))]
    if bias >= 0:
        inputs.append(write_bias(values, bias, source, kernel))
    real = values.builder.add(
        "ConvTranspose",
        inputs,
        values.model.name(result) + "_conv",
        kernel_shape=list(shape[1:3]),
        strides=[int(options.strideH), int(options.strideW)],
        pads=[*before, *behind],
        output_padding=more,
    )
    values.give(result, real, FIRST, getattr(options, "fusedActivationFunction", 0))


def write_fully_connected(values: Values, op: Any) -> None:
    """Write FULLY_CONNECTED as Gemm."""
    source, kernel, result = int(op.inputs[0]), int(op.inputs[1]), int(op.outputs[0])
    bias = int(op.inputs[2]) if len(op.inputs) > 2 else -1
    units, length = values.shape(kernel)
    name = values.real(source) if values.symmetric else values.get(source)
    if len(values.shape(source)) != 2:
        rows = values.builder.store(np.array([-1, length], np.int64), "shape")
        name = values.builder.add("Reshape", [name, rows])
    if values.quantization(source) is not None and not values.symmetric:
        name = values.dequantize(name, source)
    inputs = [name, write_weights(values, kernel, (0, 1))]
    if bias >= 0:
        inputs.append(write_bias(values, bias, source, kernel))
    real = values.builder.add("Gemm", inputs, values.model.name(result) + "_gemm", transB=1)
    shape = values.shape(result)
    activation = op.builtinOptions.fusedActivationFunction
    if len(shape) == 2:
        values.give(result, real, LAST, activation)
    else:
        wanted = values.builder.store(np.array(shape, np.int64), "shape")
        values.give_reshaped(result, real, wanted, LAST, activation)


def write_batch_matmul(values: Values, op: Any) -> None:
    """Write BATCH_MATMUL as MatMul."""
    options, result = op.builtinOptions, int(op.outputs[0])
    inputs = []
    for tensor, is_turned in zip(map(int, op.inputs), (options.adjX, options.adjY), strict=True):
        name = values.real(tensor)
        if is_turned:
            axes = list(range(len(values.shape(tensor))))
            axes[-2:] = axes[-1], axes[-2]
            name = values.builder.add("Transpose", [name], perm=axes)
        inputs.append(name)
    values.give(result, values.builder.add("MatMul", inputs))


def write_weights(values: Values, tensor: int, permutation: tuple[int, ...]) -> str:
    """Return the name of the real numbers of a kernel, with its axes in another order."""
    stored = values.constant(tensor)
    if stored is None:  # computed, or stored in another type
        name = values.real(tensor)
        if permutation == tuple(range(len(permutation))):
            return name
        return values.builder.add("Transpose", [name], perm=list(permutation))
    quantization = values.file_quantization(tensor)
    stored = stored.reshape(values.shape(tensor))
    wish = values.model.name(tensor)
    if quantization is None:
        return values.builder.store(stored.transpose(permutation), wish)
    scales, points = quantization.scales, quantization.points
    if values.symmetric and points.any():
        stored, scales = _symmetric_steps(stored, quantization)
        points = np.zeros(1, np.int64)
    kind = "uint8" if values.dtype(tensor) == "uint8" and not values.symmetric else "int8"
    name = values.builder.store(stored.transpose(permutation).astype(kind), wish)
    shape: tuple[int, ...] = () if len(scales) == 1 else scales.shape
    inputs = [
        name,
        values.builder.store(scales.reshape(shape), "scale"),
        values.builder.store(points.astype(kind).reshape(shape), "zero_point"),
    ]
    axis = permutation.index(quantization.axis) if len(scales) > 1 else 0
    return values.builder.add("DequantizeLinear", inputs, wish + "_real", axis=axis)


def _symmetric_steps(
    stored: npt.NDArray[Any], quantization: Quantization
) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
    """Return steps of -127 to 127 for a kernel whose zero point is another one, and their scale."""
    real = (stored.astype(np.float32) - quantization.points[0]) * quantization.scales[0]
    scale = np.float32(max(float(np.abs(real).max(initial=0.0)), 1e-9) / 127)
    return np.round(real / scale), np.array([scale], np.float32)


def write_bias(values: Values, tensor: int, source: int, kernel: int) -> str:
    """Return the name of the real numbers of a bias.

    Its integers have the steps of the product: that of the input times that of each channel.
    """
    stored = values.constant(tensor)
    of_input = values.quantization(source)
    of_kernel = values.file_quantization(kernel)
    if stored is None or stored.dtype.kind == "f" or of_input is None or of_kernel is None:
        return values.real(tensor)
    scales = (of_input.scales[0] * of_kernel.scales).astype(np.float32)
    steps = stored.reshape(-1).astype(np.int64)
    if values.symmetric:  # TensorRT dequantizes no int32
        of_file = values.file_quantization(source)
        assert of_file is not None
        real = steps * np.asarray(of_file.scales[0] * of_kernel.scales, np.float64)
        return values.builder.store(real.astype(np.float32), values.model.name(tensor))
    name = values.builder.store(steps.astype(np.int32), values.model.name(tensor))
    shape: tuple[int, ...] = () if len(scales) == 1 else scales.shape
    scale = values.builder.store(scales.reshape(shape), "scale")
    return values.builder.add("DequantizeLinear", [name, scale], axis=0)


#: Op of TFLite to the function that writes it.
RULES = {
    "CONV_2D": write_conv,
    "DEPTHWISE_CONV_2D": write_conv,
    "TRANSPOSE_CONV": write_conv_transpose,
    "FULLY_CONNECTED": write_fully_connected,
    "BATCH_MATMUL": write_batch_matmul,
}
