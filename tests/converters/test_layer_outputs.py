"""Which outputs of two files of one network belong together, and what the errors of layers are."""

import numpy as np
import pytest

from converters.layer_error import ErrorSums
from converters.layer_output import LayerOutput, layers_of_name, pair_outputs
from converters.noise import MOST_DB, decibels
from converters.tensor_spec import TensorSpec
from toolkit.judge.layer_fix import suggest_fixes


def output(tensor: str, size: int = 4, dtype: str = "int8") -> LayerOutput:
    spec = TensorSpec(tensor, (1, size), dtype, 0.1, 0)
    return LayerOutput(tensor, layers_of_name(tensor), "CONV_2D", spec, ())


def test_the_name_of_a_tensor_tells_its_layers() -> None:
    name = "net/re_lu/Relu;net/bn/FusedBatchNormV3;net/conv/BiasAdd/ReadVariableOp/resource"
    assert layers_of_name(name) == ("re_lu", "bn", "conv")
    assert layers_of_name("net/rounded_dense/MatMul") == ("dense",)
    assert layers_of_name("output") == ("output",)
    assert layers_of_name("") == ("",)


def test_outputs_are_paired_by_tensor_then_by_layer_then_by_what_was_joined() -> None:
    outputs = [output("net/a/Relu"), output("net/rounded_b/Relu"), output("n/c_relu/Relu;n/c/Conv")]
    references = [output("net/c/Conv"), output("net/b/Add"), output("net/a/Relu"), output("n/z/X")]
    assert pair_outputs(outputs, references) == {0: 2, 1: 1, 2: 0}


def test_outputs_of_other_sizes_are_no_pair_and_of_several_the_last_are_one() -> None:
    assert pair_outputs([output("net/a/Relu", 4)], [output("net/a/Relu", 8)]) == {}
    parts = [output("net/norm/Mul"), output("net/norm/Sub"), output("net/norm/Add")]
    assert pair_outputs([output("net/norm/Out")], parts) == {0: 2}


def test_errors_over_batches_are_those_of_all_values() -> None:
    exact = np.random.default_rng(1).normal(0, 5, (20, 4)).astype(np.float32)
    stored = np.clip(np.round(exact / 0.1), -128, 127).astype(np.int8)
    sums = ErrorSums(output("a").spec)
    for rows in (slice(0, 7), slice(7, 20)):
        sums.add(stored[rows], exact[rows])
    error = sums.error(output("a"), 90.0)
    noise = np.square(exact - stored * 0.1)
    assert error.sqnr_db == pytest.approx(10 * np.log10(np.square(exact).sum() / noise.sum()))
    assert error.rmse_per_scale == pytest.approx(np.sqrt(noise.mean()) / 0.1, rel=1e-4)
    assert error.saturation == (np.abs(exact) > 12.9).mean()
    assert error.added_db == pytest.approx(90 - error.sqnr_db)


def test_numbers_that_are_not_finite_are_the_worst_error() -> None:
    assert decibels(float("inf"), 1.0) == decibels(1.0, float("nan")) == -MOST_DB
    assert decibels(1.0, 0.0) == MOST_DB
    sums = ErrorSums(output("a", dtype="float32").spec)
    sums.add(np.array([np.nan], np.float32), np.array([1.0], np.float32))
    assert sums.sqnr_db == -MOST_DB


def test_a_cut_range_is_answered_by_another_calibration() -> None:
    sums = ErrorSums(output("a").spec)
    sums.add(np.full(10, 127, np.int8), np.full(10, 50.0))
    errors = [sums.error(output('a"\n'), None)]
    (floats, _, calibration) = suggest_fixes(errors, {"kind": "ptq_w8a8", "calibration": "mse"})
    assert floats.lines == ('kind = "ptq_w8a8"', 'keep_float = ["a\\"\\u000a"]')
    assert calibration.lines[1] == 'calibration = "minmax"'
    assert suggest_fixes([], {}) == ()
