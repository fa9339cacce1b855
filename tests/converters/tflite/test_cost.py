"""What a file costs, against figures that others published, and counts done by hand."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from converters.evidence.conversion import Conversion
from converters.tflite.cost import cost_of
from converters.tflite.reader import read_model
from converters.tflite.run import run_model
from tests.model_maker import ModelMaker
from tests.stateful_model import counter_model, sum_model
from tests.tiny_model import add_model

MODELS = Path(__file__).resolve().parents[4] / "shared" / "models"


@pytest.mark.skipif(not MODELS.is_dir(), reason=f"no {MODELS}")
@pytest.mark.parametrize(
    ("name", "macs", "parameters"),
    # MLPerf Tiny's ResNet: 12.5 M MACs, 78 K parameters; MobileNet v1 0.25 128: 14 M and 0.47 M.
    [
        ("mlperf_tiny_ic_int8", 12.5e6, 78e3),
        ("mlperf_tiny_ic_fp32", 12.5e6, 78e3),
        ("mobilenet_v1_0.25_128_quant", 14e6, 0.47e6),
    ],
)
def test_work_and_weights_are_what_was_published(name: str, macs: float, parameters: float) -> None:
    cost = cost_of(MODELS / f"{name}.tflite")
    assert cost.macs == pytest.approx(macs, rel=0.04)
    assert cost.parameters == pytest.approx(parameters, rel=0.01)
    assert cost.uncounted == ()


def test_the_digits_are_counted_as_by_hand(digits_ptq: Conversion) -> None:
    cost = digits_ptq.cost
    convolutions = 64 * 9 * 1 * 16 + 64 * 9 * 16 * 32 + 16 * 9 * 32 * 32
    assert cost.macs == convolutions + 512 * 10
    kernels = 9 * 16 + 9 * 16 * 32 + 9 * 32 * 32 + 512 * 10
    assert cost.parameters == kernels + 16 + 32 + 32 + 10
    # The second convolution holds what it takes and what it gives; the input is kept all along.
    assert cost.peak_tensor_bytes == 64 + 64 * 16 + 64 * 32
    content = digits_ptq.model.read_bytes()
    assert cost.compressed_bytes == len(zlib.compress(content, 9)) < len(content)


def test_tensors_are_held_from_their_first_to_their_last_use(tmp_path: Path) -> None:
    path = tmp_path / "add.tflite"
    path.write_bytes(add_model())
    cost = cost_of(path)
    assert cost.peak_tensor_bytes == 3 * 4
    assert (cost.macs, cost.parameters, cost.sparsity) == (0, 0, 0.0)


def loop_model(trips: int | None) -> bytes:
    """float32 `x` [1, 3] times a matrix, `trips` times; as often as int32 `n` says if None."""
    model, int32 = ModelMaker(), schema.TensorType.INT32
    x, y = model.tensor("x", [1, 3]), model.tensor("y", [1, 3])
    begin = model.tensor("begin", [], bytes(4), int32)
    counted = model.tensor("counted", [], dtype=int32)
    end = model.tensor("n", [], None if trips is None else struct.pack("<i", trips), int32)
    after = model.tensor("after", [], dtype=int32)
    options = schema.WhileOptionsT()
    options.condSubgraphIndex, options.bodySubgraphIndex = 1, 2
    model.op("WHILE", [begin, x, end], [counted, y, after], options, "WhileOptions")
    model.next_graph()
    condition = [model.tensor("i", [], dtype=int32), model.tensor("x", [1, 3])]
    condition.append(model.tensor("n", [], dtype=int32))
    goes_on = model.tensor("goes_on", [], dtype=schema.TensorType.BOOL)
    model.op("LESS", [condition[0], condition[2]], [goes_on], schema.LessOptionsT(), "LessOptions")
    model.next_graph()
    body = [model.tensor("i", [], dtype=int32), model.tensor("x", [1, 3])]
    body.append(model.tensor("n", [], dtype=int32))
    one = model.tensor("one", [], struct.pack("<i", 1), int32)
    following = model.tensor("next", [], dtype=int32)
    weights = model.tensor("weights", [3, 3], struct.pack("<9f", *range(9)))
    product = model.tensor("product", [1, 3])
    model.op("ADD", [body[0], one], [following], schema.AddOptionsT(), "AddOptions")
    dense = schema.FullyConnectedOptionsT()
    model.op("FULLY_CONNECTED", [body[1], weights, -1], [product], dense, "FullyConnectedOptions")
    main = ([x] if trips is not None else [x, end], [y])
    return model.pack([main, (condition, [goes_on]), (body, [following, product, body[2]])])


@pytest.mark.parametrize(("trips", "macs", "uncounted"), [(7, 63, ()), (None, 9, ("WHILE",))])
def test_the_body_of_a_loop_counts_as_often_as_it_runs(
    tmp_path: Path, trips: int | None, macs: int, uncounted: tuple[str, ...]
) -> None:
    path = tmp_path / "loop.tflite"
    path.write_bytes(loop_model(trips))
    assert read_model(path).subgraphs == 3
    cost = cost_of(path)
    assert (cost.macs, cost.parameters, cost.uncounted) == (macs, 9, uncounted)
    assert (cost.sparsity, cost.distinct_weights) == (1 / 9, 9)
    inputs = {"x": np.zeros((1, 3), np.float32)}
    if trips is None:
        inputs["n"] = np.array([7], np.int32)
    assert run_model(path, inputs)["y"].shape == (1, 3)


def _counted_model(kind: str) -> bytes:
    """A loop up to 7 that multiplies 9 times a trip, with one more thing in its condition.

    Args:
        kind: "unknown" for a second limit that is an input, "dense" for 6 multiplications.
    """
    model, int32, truth = ModelMaker(), schema.TensorType.INT32, schema.TensorType.BOOL

    def operands() -> list[int]:
        values = [model.tensor("i", [], dtype=int32), model.tensor("x", [1, 3])]
        return [*values, model.tensor("limit", [], dtype=int32)]

    def number(name: str, value: int) -> int:
        return model.tensor(name, [], struct.pack("<i", value), int32)

    begin, x, limit = number("begin", 0), model.tensor("x", [1, 3]), operands()[2]
    results = operands()
    loop = schema.WhileOptionsT()
    loop.condSubgraphIndex, loop.bodySubgraphIndex = 1, 2
    model.op("WHILE", [begin, x, limit], results, loop, "WhileOptions")
    model.next_graph()
    condition, dense = operands(), schema.FullyConnectedOptionsT()
    goes_on, is_less = model.tensor("goes_on", [], dtype=truth), schema.LessOptionsT()
    if kind == "unknown":
        sides = [model.tensor(name, [], dtype=truth) for name in ("seven", "limit")]
        model.op("LESS", [condition[0], number("end", 7)], [sides[0]], is_less, "LessOptions")
        model.op("LESS", [condition[0], condition[2]], [sides[1]], is_less, "LessOptions")
        both = schema.LogicalAndOptionsT()
        model.op("LOGICAL_AND", sides, [goes_on], both, "LogicalAndOptions")
    else:
        model.op("LESS", [condition[0], number("end", 7)], [goes_on], is_less, "LessOptions")
        weights, product = model.tensor("w", [2, 3], bytes(24)), model.tensor("p", [1, 2])
        operator = [condition[1], weights, -1], [product], dense, "FullyConnectedOptions"
        model.op("FULLY_CONNECTED", *operator)
    model.next_graph()
    body, following, product = operands(), model.tensor("next", [], dtype=int32), operands()[1]
    model.op("ADD", [body[0], number("1", 1)], [following], schema.AddOptionsT(), "AddOptions")
    weights = model.tensor("weights", [3, 3], bytes(36))
    model.op("FULLY_CONNECTED", [body[1], weights, -1], [product], dense, "FullyConnectedOptions")
    main = [x, limit], [results[1]]
    return model.pack([main, (condition, [goes_on]), (body, [following, product, body[2]])])


@pytest.mark.parametrize(
    ("kind", "macs", "uncounted"),
    # The condition runs once more than the body.
    [("unknown", 9, ("WHILE",)), ("dense", 7 * 9 + 8 * 6, ())],
)
def test_every_limit_of_a_loop_counts_and_so_does_its_condition(
    tmp_path: Path, kind: str, macs: int, uncounted: tuple[str, ...]
) -> None:
    path = tmp_path / "loop.tflite"
    path.write_bytes(_counted_model(kind))
    cost = cost_of(path)
    assert (cost.macs, cost.uncounted) == (macs, uncounted)


def test_the_shape_of_a_transposed_convolution_is_no_parameter(tmp_path: Path) -> None:
    model = ModelMaker()
    shape = model.tensor("shape", [4], struct.pack("<4i", 1, 8, 8, 5), schema.TensorType.INT32)
    weights, bias = model.tensor("w", [5, 2, 2, 3], bytes(240)), model.tensor("b", [5], bytes(20))
    x, y = model.tensor("x", [1, 4, 4, 3]), model.tensor("y", [1, 8, 8, 5])
    options = schema.TransposeConvOptionsT()
    options.strideH = options.strideW = 2
    inputs = [shape, weights, x, bias]
    model.op("TRANSPOSE_CONV", inputs, [y], options, "TransposeConvOptions")
    path = tmp_path / "transposed.tflite"
    path.write_bytes(model.pack([([x], [y])]))
    cost = cost_of(path)
    # Each number of the input meets the whole kernel of an output channel.
    assert (cost.macs, cost.parameters) == (16 * 3 * 4 * 5, 60 + 5)


def test_subgraphs_that_run_each_other_without_end_are_counted_at_once(tmp_path: Path) -> None:
    model = ModelMaker()
    x, y = model.tensor("x", [1, 3]), model.tensor("y", [1, 3])
    for _ in range(40):
        options = schema.WhileOptionsT()
        options.condSubgraphIndex = options.bodySubgraphIndex = 0
        model.op("WHILE", [x], [y], options, "WhileOptions")
    path = tmp_path / "itself.tflite"
    path.write_bytes(model.pack([([x], [y])]))
    cost = cost_of(path)
    assert (cost.macs, cost.uncounted) == (0, ("WHILE",))


def test_variables_are_held_besides_what_is_computed(tmp_path: Path) -> None:
    path = tmp_path / "sum.tflite"
    path.write_bytes(sum_model())
    cost = cost_of(path)
    assert (cost.macs, cost.parameters, cost.peak_tensor_bytes) == (2, 3, 4 + 4 + 4)
    path.write_bytes(counter_model())
    assert cost_of(path).peak_tensor_bytes == 3 * 4 + 4


def test_weights_of_four_bits_are_counted_one_by_one(tmp_path: Path) -> None:
    model = ModelMaker()
    x, y = model.tensor("x", [1, 4]), model.tensor("y", [1, 2])
    # Low bits first: 1 -2 3 -4, 0 0 7 -8.
    weights = model.tensor("w", [2, 4], bytes([0xE1, 0xC3, 0x00, 0x87]), schema.TensorType.INT4)
    dense = schema.FullyConnectedOptionsT()
    model.op("FULLY_CONNECTED", [x, weights, -1], [y], dense, "FullyConnectedOptions")
    path = tmp_path / "int4.tflite"
    path.write_bytes(model.pack([([x], [y])]))
    cost = cost_of(path)
    assert (cost.macs, cost.parameters, cost.sparsity) == (8, 8, 0.25)
    assert (cost.distinct_weights, cost.distinct_per_channel) == (7, 4)
