"""Each rule of the Edge TPU compiler, held and broken."""

from pathlib import Path

import numpy as np
import pytest

from converters.tflite.edgetpu.placement import CPU, EDGETPU, predict_placement
from converters.tflite.edgetpu.rules import OP_RULES
from converters.tflite.edgetpu.rules_text import markdown_of_rules
from tests.converters.tflite.edgetpu.op_maker import Op, model_of

KERNEL = np.ones((8, 1, 1, 4), np.int8)
ONE = {"dilationHFactor": 1, "dilationWFactor": 1}
MAP = (1, 6, 6, 4)
RELU = {"fusedActivationFunction": 1}


def axes(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    return np.array(numbers, np.int32)


CONV = Op("CONV_2D", (1, 6, 6, 8), (KERNEL, axes(*range(8))), ONE)
SLICE = (axes(0, 0, 0, 0), axes(1, 3, 3, 4))
PADS = np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32)

#: Input, and an operator that the Edge TPU takes.
HELD = {
    "add": (MAP, Op("ADD", MAP, (MAP,))),
    "broadcast": (MAP, Op("MUL", MAP, ((1, 1, 1, 4),))),
    "pool": (MAP, Op("AVERAGE_POOL_2D", (1, 3, 3, 4), options={"filterHeight": 2})),
    "concatenation": (MAP, Op("CONCATENATION", (1, 6, 6, 8), (MAP,))),
    "concatenation with zeros": (
        MAP,
        Op("CONCATENATION", (1, 6, 6, 8), (np.zeros(MAP, np.int8),)),
    ),
    "convolution": (MAP, CONV),
    "fully connected": ((1, 16), Op("FULLY_CONNECTED", (1, 3), (np.ones((3, 16), np.int8),))),
    "mean over the map": (MAP, Op("MEAN", (1, 1, 1, 4), (axes(1, 2),))),
    "mean over four channels": (MAP, Op("MEAN", (1, 6, 6, 1), (axes(3),))),
    "sum": (MAP, Op("SUM", (1, 6, 4), (axes(1),))),
    "pad": (MAP, Op("PAD", (1, 8, 8, 4), (PADS,))),
    "prelu by channel": (MAP, Op("PRELU", MAP, (np.ones((1, 1, 4), np.int8),))),
    "resize": (MAP, Op("RESIZE_BILINEAR", (1, 12, 12, 4), (axes(12, 12),), version=2)),
    "softmax": ((1, 10), Op("SOFTMAX", (1, 10))),
    "split": (MAP, Op("SPLIT", (1, 6, 6, 2), first=axes(3))),
    "strided slice": (
        MAP,
        Op("STRIDED_SLICE", (1, 3, 3, 4), (*SLICE, axes(1, 1, 1, 1)), {"ellipsisMask": 0}),
    ),
}

#: Input, an operator that is left to the CPU, and words of the reason.
BROKEN = {
    "five axes": ((2, 3, 4, 5), Op("RELU", (2, 3, 4, 5)), "shape [2, 3, 4, 5]"),
    "pool with relu": (MAP, Op("MAX_POOL_2D", (1, 3, 3, 4), options=RELU), "activation"),
    "concatenation with relu": (
        MAP,
        Op("CONCATENATION", (1, 6, 6, 8), (MAP,), RELU),
        "activation",
    ),
    "concatenation with ones": (
        MAP,
        Op("CONCATENATION", (1, 6, 6, 8), (np.ones(MAP, np.int8),)),
        "not all zeros",
    ),
    "concatenation of three": (
        MAP,
        Op("CONCATENATION", (1, 6, 6, 12), (MAP, np.zeros(MAP, np.int8))),
        "one of 3 inputs is constant",
    ),
    "dilation": (
        MAP,
        Op("CONV_2D", MAP, (KERNEL,), {"dilationHFactor": 2, "dilationWFactor": 1}),
        "dilation is 2 by 1",
    ),
    "computed weights": (MAP, Op("CONV_2D", MAP, ((8, 1, 1, 4),), ONE), "weights are computed"),
    "shuffled weights": (
        (1, 16),
        Op("FULLY_CONNECTED", (1, 3), (np.ones((3, 16), np.int8),), {"weightsFormat": 1}),
        "shuffled",
    ),
    "fully connected over a series": (
        (1, 7, 16),
        Op("FULLY_CONNECTED", (1, 7, 3), (np.ones((3, 16), np.int8),)),
        "output has the shape [1, 7, 3]",
    ),
    "lstm of two directions": (
        (1, 7, 16),
        Op("BIDIRECTIONAL_SEQUENCE_LSTM", (1, 7, 3)),
        "does not know",
    ),
    "mean over six channels": (
        (1, 6, 6, 6),
        Op("MEAN", (1, 6, 6, 1), (axes(-1),)),
        "averages 6 channels",
    ),
    "sum over the batch": ((3, 6), Op("SUM", (6,), (axes(0),)), "batch axis"),
    "pack along the batch": (
        (6, 4),
        Op("PACK", (2, 6, 4), ((6, 4),), {"axis": 0, "valuesCount": 2}),
        "batch axis",
    ),
    "pad of the batch": (
        MAP,
        Op("PAD", (2, 6, 6, 4), (np.array([[0, 1], [0, 0], [0, 0], [0, 0]], np.int32),)),
        "pads the batch axis",
    ),
    "prelu by place": (
        MAP,
        Op("PRELU", MAP, (np.ones((6, 6, 4), np.int8),)),
        "alpha has the shape [6, 6, 4]",
    ),
    "resize of version 3": (
        MAP,
        Op("RESIZE_BILINEAR", (1, 12, 12, 4), (axes(12, 12),), version=3),
        "version is 3",
    ),
    "resize by half pixels": (
        MAP,
        Op(
            "RESIZE_NEAREST_NEIGHBOR",
            (1, 12, 12, 4),
            (axes(12, 12),),
            {"halfPixelCenters": True},
        ),
        "half pixels",
    ),
    "resize of one pixel": (
        (1, 1, 1, 4),
        Op("RESIZE_BILINEAR", (1, 12, 12, 4), (axes(12, 12),)),
        "single pixel",
    ),
    "softmax over a map": (MAP, Op("SOFTMAX", MAP), "input has the shape [1, 6, 6, 4]"),
    "softmax of many": ((1, 16_001), Op("SOFTMAX", (1, 16_001)), "16001 values"),
    "split of the batch": ((4, 6), Op("SPLIT", (2, 6), first=axes(0)), "batch axis"),
    "strides": (
        MAP,
        Op("STRIDED_SLICE", (1, 3, 3, 4), (*SLICE, axes(1, 2, 2, 1)), {"ellipsisMask": 0}),
        "strides are not all 1",
    ),
    "ellipsis": (
        MAP,
        Op("STRIDED_SLICE", (1, 3, 3, 4), (*SLICE, axes(1, 1, 1, 1)), {"ellipsisMask": 1}),
        "ellipsis",
    ),
    "leaky relu": (MAP, Op("LEAKY_RELU", MAP), "does not know"),
}


@pytest.mark.parametrize("name", HELD)
def test_what_fits_goes_to_the_edge_tpu(name: str, tmp_path: Path) -> None:
    shape, operator = HELD[name]
    (predicted,) = predict_placement(model_of(tmp_path / "m.tflite", shape, operator)).operators
    assert (predicted.executor, predicted.reason) == (EDGETPU, "")


@pytest.mark.parametrize("name", BROKEN)
def test_what_does_not_fit_is_told_with_reason_and_next_step(name: str, tmp_path: Path) -> None:
    shape, operator, words = BROKEN[name]
    (predicted,) = predict_placement(model_of(tmp_path / "m.tflite", shape, operator)).operators
    assert predicted.executor == CPU
    assert words in predicted.reason
    assert predicted.fix.endswith(".")


def test_every_rule_is_broken_by_a_case_above(tmp_path: Path) -> None:
    fixes = set()
    for number, (shape, operator, _) in enumerate(BROKEN.values()):
        path = model_of(tmp_path / f"{number}.tflite", shape, operator)
        fixes |= {predicted.fix for predicted in predict_placement(path).operators}
    # No file has this: an op of two directions is another op.
    others = {"Use a layer that is not bidirectional."}
    assert {rule.fix for rules in OP_RULES.values() for rule in rules} - fixes <= others


def test_floats_and_open_axes_are_left_to_the_cpu(tmp_path: Path) -> None:
    floats = model_of(tmp_path / "f.tflite", MAP, Op("RELU", MAP), dtype="FLOAT32")
    assert predict_placement(floats).operators[0].reason == "it computes with float32"
    is_open = model_of(tmp_path / "o.tflite", MAP, Op("RELU", MAP), is_open=True)
    assert predict_placement(is_open).operators[0].reason == "the size of an axis is open"


def test_one_block_goes_to_the_edge_tpu_and_all_behind_it_to_the_cpu(tmp_path: Path) -> None:
    late = Op("CONV_2D", (1, 6, 6, 8), (np.ones((8, 1, 1, 8), np.int8),), ONE)
    operators = (Op("LEAKY_RELU", MAP), CONV, Op("LEAKY_RELU", (1, 6, 6, 8)), late)
    placement = predict_placement(model_of(tmp_path / "m.tflite", MAP, *operators))
    assert [each.executor for each in placement.operators] == [CPU, EDGETPU, CPU, CPU]
    assert placement.first_break is not None and placement.first_break.number == 2
    assert placement.operators[3].reason == "it stands behind an operator that runs on the CPU"
    assert placement.cpu_share_of_macs == pytest.approx(36 * 64 / (36 * 64 + 36 * 32))
    assert placement.parameter_bytes == KERNEL.nbytes + 8 * 4


def test_the_tables_of_the_docs_are_those_of_the_checks() -> None:
    page = (Path(__file__).parents[4] / "docs" / "edgetpu.md").read_text()
    inside = page.partition("<!-- rules: begin -->\n\n")[2].partition("\n<!-- rules: end -->")[0]
    assert inside == markdown_of_rules(), "python -m converters.tflite.edgetpu.rules_text"
