"""Figures of an .onnx against counts by hand."""

from pathlib import Path

import numpy as np
from onnx import helper, numpy_helper

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
