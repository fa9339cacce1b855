"""Figures of an .onnx against counts by hand."""

from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from converters.onnx.inspection import onnx_figures
from tests.onnx_models import model_of, value


def test_figures_are_those_counted_by_hand(tmp_path: Path) -> None:
    """x (1,3,8,8) → Conv 3x3 to 4 channels → Relu → MaxPool 2x2 → Flatten → Gemm to 5."""
    stored = [
        numpy_helper.from_array(np.zeros(shape, np.float32), name)
        for name, shape in (
            ("w", (4, 3, 3, 3)), ("b", (4,)), ("g", (5, 36)), ("c", (5,)),
        )
    ]  # fmt: skip
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["conv"], "conv"),
        helper.make_node("Relu", ["conv"], ["relu"], "relu"),
        helper.make_node(
            "MaxPool", ["relu"], ["pool"], "pool", kernel_shape=[2, 2], strides=[2, 2]
        ),
        helper.make_node("Flatten", ["pool"], ["flat"], "flat"),
        helper.make_node("Gemm", ["flat", "g", "c"], ["y"], "dense", transB=1),
    ]
    content = model_of(nodes, [value("x", [1, 3, 8, 8])], [value("y", [1, 5])], stored)
    (tmp_path / "m.onnx").write_bytes(content)
    figures = onnx_figures(tmp_path / "m.onnx")
    conv, relu, pool, flat, dense = figures.operators
    outputs = 4 * 6 * 6
    assert conv.macs == outputs * 3 * 3 * 3 == 3888
    assert dense.macs == 5 * 36
    assert [each.macs for each in (relu, pool, flat)] == [0, 0, 0]
    assert figures.macs == 3888 + 180
    assert conv.parameters == 4 * 27 + 4
    assert dense.parameters == 5 * 36 + 5
    assert figures.parameters == 112 + 185
    assert (conv.bytes_read, conv.bytes_written) == (4 * (192 + 108 + 4), 4 * outputs)
    assert (relu.bytes_read, relu.bytes_written) == (4 * outputs, 4 * outputs)
    assert (pool.bytes_written, flat.bytes_read) == (4 * 36, 4 * 36)
    # conv and relu at one time, beside the input, which is kept
    assert figures.peak_tensor_bytes == 4 * (192 + 2 * outputs)


def test_scales_indices_lengths_and_states_are_no_parameters(tmp_path: Path) -> None:
    """Counts by hand of ops that have other constants than what was learned."""
    zeros = {
        "kernel": np.zeros((8, 3, 3, 3), np.int8),
        "bias": np.zeros(8, np.int32),
        "scale": np.float32(0.1),
        "zero": np.int8(0),
        "w": np.zeros((1, 16, 3), np.float32),
        "r": np.zeros((1, 16, 4), np.float32),
        "state": np.zeros((1, 1, 4), np.float32),
        "places": np.array([1, 2]),
        "count": np.array([3]),
        "table": np.zeros((100, 8), np.float32),
    }
    stored = [numpy_helper.from_array(np.asarray(of), name) for name, of in zeros.items()]
    quantized = ["x", "scale", "zero", "kernel", "scale", "zero", "scale", "zero", "bias"]
    recurrent = ["s", "w", "r", "", "", "state", "state"]
    nodes = [
        helper.make_node("QLinearConv", quantized, ["conv"], "conv"),
        helper.make_node("LSTM", recurrent, ["lstm"], "lstm", hidden_size=4),
        helper.make_node("Gather", ["s", "places"], ["part"], "part", axis=2),
        helper.make_node("Add", ["i", "count"], ["sum"], "sum"),
        helper.make_node("Gather", ["table", "i"], ["embedding"], "embedding"),
    ]
    int8, int64 = TensorProto.INT8, TensorProto.INT64
    inputs = [
        helper.make_tensor_value_info("x", int8, [1, 3, 6, 6]),
        value("s", [7, 1, 3]),
        helper.make_tensor_value_info("i", int64, [1]),
    ]
    outputs = [
        helper.make_tensor_value_info("conv", int8, [1, 8, 4, 4]),
        *(value("lstm", [7, 1, 1, 4]), value("part", [7, 1, 2]), value("embedding", [1, 8])),
        helper.make_tensor_value_info("sum", int64, [1]),
    ]
    (tmp_path / "m.onnx").write_bytes(model_of(nodes, inputs, outputs, stored))
    figures = onnx_figures(tmp_path / "m.onnx")
    counts = {each.layer: each.parameters for each in figures.operators}
    assert counts == {"conv": 224, "lstm": 112, "part": 0, "sum": 0, "embedding": 800}
    assert figures.parameters == 224 + 112 + 800
    assert figures.macs == 128 * 27 + 7 * 112
