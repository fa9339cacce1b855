"""An .onnx as the model: recipes that train and that do not, on data in its own layout."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.request import ConversionRequest
from tests.converters.programs.onnx_maker import OnnxMaker
from tests.converters.warm import convert

SIZE = 8


@pytest.fixture(scope="module")
def onnx_request(tmp_path_factory: pytest.TempPathFactory) -> ConversionRequest:
    """A small residual network with open height and width, and images with channels first."""
    folder = tmp_path_factory.mktemp("onnx")
    m = OnnxMaker(17)
    x = m.input(1, "height", "width", name="image")
    x = m.op("Relu", m.op("Conv", x, m.random(8, 1, 3, 3), m.random(8), pads=[1] * 4))
    y = m.op("Relu", m.op("Conv", x, m.random(8, 8, 3, 3, scale=0.1), pads=[1] * 4))
    x = m.op("MaxPool", m.op("Add", x, y), kernel_shape=[2, 2], strides=[2, 2])
    shape = m.op("Concat", m.wholes(0), m.wholes(-1), axis=0)
    flat = m.op("Reshape", x, shape)
    m.output(m.op("Softmax", m.op("Gemm", flat, m.random(128, 4, scale=0.1), m.random(4))))
    (folder / "net.onnx").write_bytes(m.content())
    random = np.random.default_rng(0)
    y_train, y_test = random.integers(0, 4, 240), random.integers(0, 4, 60)
    arrays = {}
    for name, labels in (("train", y_train), ("test", y_test)):
        images = random.normal(0, 0.2, (len(labels), 1, SIZE, SIZE)).astype(np.float32)
        for place, label in enumerate(labels):
            images[place, 0, 2 * label : 2 * label + 2] += 1
        arrays |= {f"x_{name}": images, f"y_{name}": labels}
    np.savez(folder / "data.npz", **arrays)
    return ConversionRequest(folder / "net.onnx", folder / "data.npz", "ptq_w8a8", folder / "out")


def test_open_axes_get_the_sizes_of_the_data_and_the_file_has_its_channels_last(
    onnx_request: ConversionRequest,
) -> None:
    conversion = convert(onnx_request)
    assert conversion.inputs[0].shape == (1, SIZE, SIZE, 1)
    assert conversion.inputs[0].dtype == "int8"


def test_it_trains(onnx_request: ConversionRequest, tmp_path: Path) -> None:
    conversion = convert(replace(onnx_request, recipe="qat_w8a8", out=tmp_path / "qat"))
    assert conversion.accuracy is not None
    assert conversion.float_accuracy is not None
    # The weights are random: training may only make it better.
    assert conversion.accuracy.fraction > conversion.float_accuracy.fraction - 0.1
