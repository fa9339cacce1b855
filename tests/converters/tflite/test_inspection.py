"""Figures of operators against counts by hand, TensorFlow's analyzer and made files."""

import json
from pathlib import Path
from typing import Any

import pytest

from converters.errors import ConversionError
from converters.inspection import FLOAT, INTEGER, quantization_coverage
from converters.tflite.inspection import tflite_figures
from converters.tflite.reader import read_model
from tests.converters.conftest import run_program
from tests.converters.tflite.tflite_maker import model_object, packed, tensor
from tests.tiny_model import relu_model

MODELS = Path(__file__).parents[4] / "shared" / "models"
needs_models = pytest.mark.skipif(not MODELS.is_dir(), reason="no shared models here")

#: Height and width of the output, pixels of the kernel, channels in, and channels out of each
#: convolution of the ResNet-8 of MLPerf Tiny; counted by hand: height * width * kernel * in * out.
RESNET8 = [
    *((32, 32, 9, 3, 16), (32, 32, 9, 16, 16), (32, 32, 9, 16, 16)),
    *((16, 16, 9, 16, 32), (16, 16, 9, 32, 32), (16, 16, 1, 16, 32)),
    *((8, 8, 9, 32, 64), (8, 8, 9, 64, 64), (8, 8, 1, 32, 64)),
]
#: Height of the output and channels of each pair of a depthwise convolution of 3x3 and one of 1x1
#: of MobileNet v1 0.25 for 128 pixels: height, channels in, channels out.
MOBILENET = [
    *((64, 8, 16), (32, 16, 32), (32, 32, 32), (16, 32, 64), (16, 64, 64), (8, 64, 128)),
    *((8, 128, 128),) * 5,
    *((4, 128, 256), (4, 256, 256)),
]

COUNTS_BY_HAND = {
    "mlperf_tiny_ic_int8": [h * w * k * a * b for h, w, k, a, b in RESNET8] + [64 * 10],
    "mobilenet_v1_0.25_128_quant": [
        64 * 64 * 9 * 3 * 8,
        *(work for h, a, b in MOBILENET for work in (h * h * 9 * a, h * h * a * b)),
        256 * 1001,
    ],
    # 28 steps of 4 gates, each of 20 units, take 28 pixels and the 20 values of the step before.
    "keras_lstm_mnist_ptq": [28 * 4 * 20 * (28 + 20), 28 * 20 * 10],
}


@needs_models
@pytest.mark.parametrize("name", COUNTS_BY_HAND)
def test_multiply_accumulates_agree_with_the_count_by_hand(name: str) -> None:
    figures = tflite_figures(MODELS / f"{name}.tflite")
    counts = [operator.macs for operator in figures.operators if operator.macs]
    assert sorted(counts) == sorted(COUNTS_BY_HAND[name])
    assert figures.macs == sum(COUNTS_BY_HAND[name])


@needs_models
def test_counts_agree_with_the_analyzer_of_tensorflow(tmp_path: Path) -> None:
    paths = sorted(MODELS.glob("*.tflite"))
    report = tmp_path / "report.json"
    run_program("analyzer_counts", str(report), *map(str, paths))
    analyzed = json.loads(report.read_text())
    for path in paths:
        figures, model = tflite_figures(path), read_model(path)
        counts = [len(figures.operators), len(model.tensors), model.subgraphs]
        assert counts == analyzed[path.name], path.name


@needs_models
def test_an_int8_file_has_no_float_operator_and_a_float_file_no_other() -> None:
    integer = quantization_coverage(tflite_figures(MODELS / "mlperf_tiny_ic_int8.tflite"))
    assert (integer.integer_operators, integer.float_operators) == (16, ())
    floats = quantization_coverage(tflite_figures(MODELS / "mlperf_tiny_ic_fp32.tflite"))
    assert (floats.integer_operators, len(floats.float_operators)) == (0, 16)
    assert floats.float_share_of_macs == 1.0


def test_bytes_and_types_of_an_operator(tmp_path: Path) -> None:
    path = tmp_path / "relu.tflite"
    path.write_bytes(relu_model())
    (operator,) = tflite_figures(path).operators
    assert operator.arithmetic == INTEGER
    assert operator.bytes_read == sum(use.bytes for use in operator.inputs)
    assert operator.bytes_written == operator.outputs[0].bytes > 0


def test_operators_of_every_subgraph_are_there(tmp_path: Path) -> None:
    model = model_object(use=True)
    model.subgraphs = [model.subgraphs[0], model_object(use=True).subgraphs[0]]
    path = tmp_path / "two.tflite"
    path.write_bytes(packed(model))
    figures = tflite_figures(path)
    assert [(each.subgraph, each.number) for each in figures.operators] == [(0, 0), (1, 0)]
    assert {each.arithmetic for each in figures.operators} == {FLOAT}
    assert figures.count == 1  # the second subgraph is of another signature


def _without_inputs(model: Any) -> None:
    model.subgraphs[0].operators[0].inputs = []


def _with_endless_axes(model: Any) -> None:
    model.subgraphs[0].tensors[0].shape = [1] * 65


def _of_absurd_size(model: Any) -> None:
    model.subgraphs[0].tensors[0].shape = [2**31 - 1] * 3


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (_without_inputs, "inputs, outputs or options"),
        (_with_endless_axes, "65 axes"),
        (_of_absurd_size, "the shape"),
    ],
)
def test_what_no_op_can_be_is_refused(tmp_path: Path, spoil: Any, complaint: str) -> None:
    model = model_object("CONV_2D", use=True)
    spoil(model)
    path = tmp_path / "odd.tflite"
    path.write_bytes(packed(model))
    with pytest.raises(ConversionError, match=complaint):
        read_model(path)
        tflite_figures(path)


def test_more_tables_than_a_file_can_hold_are_refused(tmp_path: Path) -> None:
    model = model_object()
    model.subgraphs[0].tensors = [tensor("", shape=()) for _ in range(60_000)]
    path = tmp_path / "many.tflite"
    path.write_bytes(packed(model))
    with pytest.raises(ConversionError, match="more tensors than"):
        read_model(path)
