"""Makers of tiny ONNX models, one for each way in which an op is read."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from onnx import TensorProto

from tests.converters.programs.onnx_maker import OnnxMaker

Case = Callable[[OnnxMaker], None]


def make_conv(
    channels: int = 3, outputs: int = 4, size: tuple[int, ...] = (3, 3), **attributes: object
) -> Case:
    def make(m: OnnxMaker) -> None:
        group = int(str(attributes.get("group", 1)))
        x = m.input(channels, *(9, 8)[: len(size)])
        kernel = m.random(outputs, channels // group, *size)
        m.output(m.op("Conv", x, kernel, m.random(outputs), **attributes))

    return make


def make_transposed(
    size: tuple[int, ...] = (3, 3), channels: int = 3, outputs: int = 4, **attributes: object
) -> Case:
    def make(m: OnnxMaker) -> None:
        group = int(str(attributes.get("group", 1)))
        x = m.input(channels, *(5, 4)[: len(size)])
        kernel = m.random(channels, outputs // group, *size)
        m.output(m.op("ConvTranspose", x, kernel, m.random(outputs), **attributes))

    return make


def make_pool(kind: str, shape: tuple[int, ...] = (3, 9, 8), **attributes: object) -> Case:
    def make(m: OnnxMaker) -> None:
        m.output(m.op(kind, m.op("Neg", m.input(*shape)), **attributes))

    return make


def make_unary(kind: str, **attributes: object) -> Case:
    def make(m: OnnxMaker) -> None:
        x = m.op("Conv", m.input(3, 5, 4), m.random(4, 3, 1, 1, scale=2.0))
        m.output(m.op(kind, x, **attributes))

    return make


def make_with_constant(kind: str, shape: tuple[int, ...], first: bool = False) -> Case:
    def make(m: OnnxMaker) -> None:
        x = m.op("Conv", m.input(3, 5, 4), m.random(4, 3, 1, 1))
        inputs = (x, m.positive(*shape))
        y = m.op(kind, *(inputs[::-1] if first else inputs))
        m.output(m.op("Conv", y, m.random(2, 4, 3, 3)))

    return make


def make_power(exponent: float) -> Case:
    def make(m: OnnxMaker) -> None:
        m.output(m.op("Pow", m.input(5, 4), m.constant(np.float32(exponent))))

    return make


def make_of_two(kind: str, first: tuple[int, ...], second: tuple[int, ...]) -> Case:
    def make(m: OnnxMaker) -> None:
        m.output(m.op(kind, m.input(*first), m.input(*second)))

    return make


def make_einsum(
    equation: str, first: tuple[int, ...], second: tuple[int, ...], constant: int = -1
) -> Case:
    """Einsum of two inputs, of which the one at the place `constant` is stored."""

    def make(m: OnnxMaker) -> None:
        terms = [
            m.random(*shape) if place == constant else m.op("Relu", m.input(*shape))
            for place, shape in enumerate((first, second))
        ]
        m.output(m.op("Einsum", *terms, equation=equation))

    return make


def make_reduced(kind: str, axes: tuple[int, ...], keepdims: int) -> Case:
    def make(m: OnnxMaker) -> None:
        x = m.op("Conv", m.input(3, 5, 4), m.random(4, 3, 1, 1))
        if m.opset >= 18 or kind == "ReduceSum" and m.opset >= 13:
            y = m.op(kind, x, m.wholes(*axes), keepdims=keepdims)
        else:
            y = m.op(kind, x, axes=list(axes), keepdims=keepdims)
        m.output(y)

    return make


def make_flat_dense(m: OnnxMaker) -> None:
    x = m.op("Relu", m.op("Conv", m.input(3, 6, 5), m.random(4, 3, 3, 3)))
    flat = m.op("Flatten", m.op("MaxPool", x, kernel_shape=[2, 2], strides=[2, 1]))
    flat = m.op(
        "BatchNormalization", flat, m.positive(16), m.random(16), m.random(16), m.positive(16)
    )
    m.output(m.op("Gemm", flat, m.random(5, 16), m.random(5), transB=1))


def make_reshaped_dense(m: OnnxMaker) -> None:
    x = m.op("Conv", m.input(3, 4, 4), m.random(4, 3, 3, 3))
    flat = m.op("Reshape", x, m.wholes(0, -1))
    m.output(m.op("Add", m.op("MatMul", flat, m.random(16, 5)), m.random(5)))


def make_channels_last(m: OnnxMaker) -> None:
    """Write as tf2onnx does: an input that has its channels last."""
    x = m.op("Transpose", m.input(6, 5, 3), perm=[0, 3, 1, 2])
    x = m.op("Relu", m.op("Conv", x, m.random(4, 3, 3, 3), strides=[2, 2], auto_pad="SAME_UPPER"))
    x = m.op("Transpose", x, perm=[0, 2, 3, 1])
    flat = m.op("Reshape", x, m.wholes(-1, 36))
    m.output(m.op("Softmax", m.op("MatMul", flat, m.random(36, 3)), axis=1))


def make_mlp(m: OnnxMaker) -> None:
    """Write as skl2onnx does: normalized columns, MatMul and Add."""
    x = m.op("Div", m.op("Sub", m.input(7), m.random(7)), m.positive(7))
    x = m.op("Relu", m.op("Add", m.op("MatMul", x, m.random(7, 9)), m.random(1, 9)))
    m.output(m.op("Softmax", m.op("Add", m.op("MatMul", x, m.random(9, 3)), m.random(1, 3))))


def make_residual(m: OnnxMaker) -> None:
    x = m.op("Relu", m.op("Conv", m.input(3, 8, 8), m.random(8, 3, 3, 3), pads=[1] * 4))
    y = m.op("Conv", x, m.random(8, 8, 3, 3), pads=[1] * 4)
    y = m.op("BatchNormalization", y, m.positive(8), m.random(8), m.random(8), m.positive(8))
    x = m.op("Relu", m.op("Add", x, y))
    short = m.op("Conv", x, m.random(4, 8, 1, 1), strides=[2, 2])
    y = m.op("Conv", x, m.random(4, 8, 3, 3), strides=[2, 2], pads=[1] * 4)
    x = m.op("GlobalAveragePool", m.op("Add", short, y))
    m.output(m.op("Gemm", m.op("Flatten", x), m.random(4, 3), m.random(3)))


def make_squeeze_excite(m: OnnxMaker) -> None:
    x = m.op("Conv", m.input(3, 6, 6), m.random(8, 3, 3, 3))
    s = m.op("GlobalAveragePool", x)
    s = m.op("Relu", m.op("Conv", s, m.random(2, 8, 1, 1)))
    s = m.op("HardSigmoid", m.op("Conv", s, m.random(8, 2, 1, 1)), alpha=1 / 6)
    m.output(m.op("Mul", x, s))


def make_shuffle(m: OnnxMaker) -> None:
    x = m.op("Conv", m.input(3, 4, 4), m.random(6, 3, 1, 1))
    x = m.op("Reshape", x, m.wholes(1, 2, 3, 4, 4))
    x = m.op("Reshape", m.op("Transpose", x, perm=[0, 2, 1, 3, 4]), m.wholes(1, 6, 4, 4))
    m.output(m.op("Conv", x, m.random(6, 3, 1, 1), group=2))


def make_attention(m: OnnxMaker) -> None:
    length, heads, size = 6, 2, 4
    x = m.input(length, heads * size)
    parts = []
    for turn in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):
        y = m.op("Add", m.op("MatMul", x, m.random(8, 8)), m.random(8))
        y = m.op("Reshape", y, m.wholes(0, length, heads, size))
        parts.append(m.op("Transpose", y, perm=turn))
    scores = m.op("Div", m.op("MatMul", parts[0], parts[1]), m.constant(np.float32(2.0)))
    mask = m.constant(np.tri(length, dtype=bool)[None, None])
    scores = m.op("Where", mask, scores, m.constant(np.float32(-np.inf)))
    y = m.op("MatMul", m.op("Softmax", scores, axis=-1), parts[2])
    y = m.op("Reshape", m.op("Transpose", y, perm=[0, 2, 1, 3]), m.wholes(0, length, 8))
    m.output(m.op("Add", x, m.op("MatMul", y, m.random(8, 8))))


def make_layer_norm_chain(m: OnnxMaker) -> None:
    x = m.op("MatMul", m.input(5, 6), m.random(6, 8))
    axes = (m.wholes(-1),) if m.opset >= 18 else ()
    plain = {} if axes else {"axes": [-1]}
    centred = m.op("Sub", x, m.op("ReduceMean", x, *axes, **plain))
    power = m.op("Pow", centred, m.constant(np.float32(2)))
    variance = m.op("ReduceMean", power, *axes, **plain)
    root = m.op("Sqrt", m.op("Add", variance, m.constant(np.float32(1e-5))))
    y = m.op("Mul", m.op("Div", centred, root), m.positive(8))
    m.output(m.op("Add", y, m.random(8)))


def make_gelu_chain(m: OnnxMaker) -> None:
    x = m.op("MatMul", m.input(5), m.random(5, 8, scale=2.0))
    y = m.op("Erf", m.op("Div", x, m.constant(np.float32(np.sqrt(2)))))
    y = m.op("Mul", x, m.op("Add", y, m.constant(np.float32(1))))
    m.output(m.op("Mul", y, m.constant(np.float32(0.5))))


def make_group_norm_chain(m: OnnxMaker) -> None:
    """Write as the exporters of PyTorch do."""
    x = m.op("Conv", m.input(3, 5, 4), m.random(6, 3, 1, 1))
    y = m.op("Reshape", x, m.wholes(0, 2, -1))
    ones, zeros = m.constant(np.ones(2, np.float32)), m.constant(np.zeros(2, np.float32))
    y = m.op("InstanceNormalization", y, ones, zeros)
    y = m.op("Reshape", y, m.wholes(1, 6, 5, 4))
    m.output(m.op("Add", m.op("Mul", y, m.positive(6, 1, 1)), m.random(6, 1, 1)))


def make_normed(kind: str, *shapes: tuple[int, ...], **attributes: object) -> Case:
    def make(m: OnnxMaker) -> None:
        x = m.op("Conv", m.input(3, 5, 4), m.random(6, 3, 1, 1))
        m.output(m.op(kind, x, *(m.positive(*shape) for shape in shapes), **attributes))

    return make


def make_class_token(m: OnnxMaker) -> None:
    x = m.op("Conv", m.input(3, 8, 8), m.random(6, 3, 4, 4), strides=[4, 4])
    x = m.op("Transpose", m.op("Reshape", x, m.wholes(0, 6, -1)), perm=[0, 2, 1])
    x = m.op("Concat", m.random(1, 1, 6), x, axis=1)
    x = m.op("Add", x, m.random(1, 5, 6))
    m.output(m.op("Gather", x, m.constant(0, np.int64), axis=1))


def make_recurrent(kind: str, *, last: bool, bias: bool = True, **attributes: object) -> Case:
    def make(m: OnnxMaker) -> None:
        gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind]
        ways = 2 if attributes.get("direction") == "bidirectional" else 1
        x = m.op("Transpose", m.input(5, 3), perm=[1, 0, 2])
        arrays = [m.random(ways, gates * 4, 3), m.random(ways, gates * 4, 4)]
        if bias:
            arrays.append(m.random(ways, 2 * gates * 4))
        y, state = m.op(kind, x, *arrays, outputs=2, hidden_size=4, **attributes)
        if last:
            state = m.op("Transpose", state, perm=[1, 0, 2])
            m.output(m.op("Reshape", state, m.wholes(0, -1)))
        else:
            y = m.op("Transpose", y, perm=[2, 0, 1, 3])
            m.output(m.op("Reshape", y, m.wholes(0, 5, -1)))

    return make


def make_embedding(m: OnnxMaker) -> None:
    ids = m.input(5, dtype=TensorProto.INT64)
    x = m.op("Gather", m.random(2, 6), ids)
    y = m.op("Add", x, m.random(1, 5, 6))
    m.output(m.op("ReduceMean", y, axes=[1], keepdims=0))


def make_splits(m: OnnxMaker) -> None:
    x = m.op("Conv", m.input(3, 5, 4), m.random(6, 3, 1, 1))
    if m.opset >= 13:
        a, b = m.op("Split", x, m.wholes(2, 4), outputs=2, axis=1)
    else:
        a, b = m.op("Split", x, outputs=2, axis=1, split=[2, 4])
    c = m.op("Slice", b, m.wholes(1, 0), m.wholes(3, 4), m.wholes(1, 3), m.wholes(1, 2))
    a = m.op("Slice", a, m.wholes(-1), m.wholes(-(10**9)), m.wholes(3), m.wholes(-2))
    m.output(m.op("Concat", a, c, axis=1))


def make_padded(
    shape: tuple[int, ...], *pads: int, mode: str = "constant", value: float = 0
) -> Case:
    def make(m: OnnxMaker) -> None:
        x = m.op("Relu", m.input(*shape))
        number = (m.constant(np.float32(value)),) if value else ()
        m.output(m.op("Pad", x, m.wholes(*pads), *number, mode=mode))

    return make


def make_resized(sizes: tuple[int, ...], **attributes: object) -> Case:
    def make(m: OnnxMaker) -> None:
        x = m.op("Conv", m.input(3, 6, 4), m.random(2, 3, 1, 1))
        m.output(m.op("Resize", x, "", "", m.wholes(1, 2, *sizes), **attributes))

    return make


def make_conv_1d_net(m: OnnxMaker) -> None:
    x = m.op("Relu", m.op("Conv", m.input(3, 12), m.random(6, 3, 3), m.random(6), pads=[1, 1]))
    x = m.op("Conv", x, m.random(6, 1, 3), group=6, strides=[2], pads=[1, 1])
    x = m.op("BatchNormalization", x, m.positive(6), m.random(6), m.random(6), m.positive(6))
    x = m.op("MaxPool", x, kernel_shape=[2], strides=[2])
    m.output(m.op("Gemm", m.op("Flatten", x), m.random(18, 4)))


def make_two_outputs(m: OnnxMaker) -> None:
    x = m.op("Conv", m.input(3, 5, 4, name="left"), m.random(4, 3, 1, 1))
    y = m.op("MatMul", m.input(6, name="right"), m.random(6, 4))
    z = m.op("Add", x, m.op("Unsqueeze", y, m.wholes(2, 3)))
    m.output(z, m.op("Relu", y))


def make_prelu(m: OnnxMaker) -> None:
    x = m.op("Conv", m.input(3, 5, 4), m.random(4, 3, 1, 1))
    m.output(m.op("PRelu", x, m.random(4, 1, 1)))


def make_depth_to_space(mode: str) -> Case:
    def make(m: OnnxMaker) -> None:
        x = m.op("Conv", m.input(3, 4, 3), m.random(8, 3, 1, 1))
        x = m.op("DepthToSpace", x, blocksize=2, mode=mode)
        m.output(m.op("Conv", x, m.random(3, 2, 3, 3)))

    return make


def make_space_to_depth(m: OnnxMaker) -> None:
    x = m.op("SpaceToDepth", m.input(3, 4, 6), blocksize=2)
    m.output(m.op("Conv", x, m.random(3, 12, 1, 1)))


def make_matmul_constant_first(m: OnnxMaker) -> None:
    m.output(m.op("MatMul", m.random(3, 5), m.input(5, 4)))


def make_shape_arithmetic(m: OnnxMaker) -> None:
    """Write as older exporters of PyTorch do: the shape of a Reshape is computed."""
    x = m.op("Conv", m.input(3, 5, 5), m.random(4, 3, 3, 3))
    batch = m.op("Gather", m.op("Shape", x), m.constant(0, np.int64))
    shape = m.op("Concat", m.op("Unsqueeze", batch, m.wholes(0)), m.wholes(-1), axis=0)
    m.output(m.op("MatMul", m.op("Reshape", x, shape), m.random(36, 3)))


def make_clip(low: float | None, high: float | None) -> Case:
    def make(m: OnnxMaker) -> None:
        x = m.op("Conv", m.input(3, 5, 4), m.random(4, 3, 1, 1, scale=3.0))
        limits = ["" if n is None else m.constant(np.float32(n)) for n in (low, high)]
        m.output(m.op("Clip", x, *limits))

    return make
