"""When a board computes what the host computes."""

from dataclasses import replace

import numpy as np
import pytest

from device_agent.contract.measurement import KernelClass
from toolkit.judge.parity import (
    AGREES,
    DIFFERS,
    EQUAL,
    INCONCLUSIVE,
    Array,
    Parity,
    compare_outputs,
)
from toolkit.report.measurement_text import describe_parity

HOST = KernelClass("x86_64", "ai-edge-litert", "2.3.0")
ARM = KernelClass("aarch64", "ai-edge-litert", "2.3.0")


def outputs(count: int = 1000) -> Array:
    """Decided outputs: one of ten classes stands out by 20 steps."""
    random = np.random.default_rng(7)
    values = random.integers(-100, 80, (count, 10)).astype(np.int8)
    values[np.arange(count), random.integers(0, 10, count)] = 100
    return values


def compared(
    host: Array, board: Array, kernel_class: KernelClass = HOST, labels: Array | None = None,
    real: bool = True,
) -> Parity:  # fmt: skip
    return compare_outputs((HOST, {"y": host}), (kernel_class, {"y": board}), labels, real)


def flipped(values: Array, count: int) -> Array:
    """The same outputs, but the first `count` decide otherwise."""
    changed = values.copy()
    changed[:count] = np.roll(changed[:count], 1, axis=1)
    return changed


def test_equal_bits_are_equal_in_any_class() -> None:
    for kernel_class in (HOST, ARM):
        assert compared(outputs(), outputs(), kernel_class).verdict == EQUAL


def test_one_step_within_a_class_differs() -> None:
    board = outputs()
    board[3, 4] += 1
    found = compared(outputs(), board)
    assert found.verdict == DIFFERS
    assert found.largest_difference == 1
    assert found.beyond_one == 0


def test_small_differences_across_classes_agree() -> None:
    board = outputs()
    board[:19, 0] -= 11
    found = compared(outputs(), board, ARM, labels=outputs().argmax(axis=1))
    assert found.verdict == AGREES
    assert found.largest_difference == 11
    assert found.beyond_one == pytest.approx(0.019)
    assert found.agreement == 1


def test_a_last_bit_on_a_cpu_with_other_vector_units_is_no_fault() -> None:
    ours = KernelClass("x86_64", "ai-edge-litert", "2.3.0", cpu_features="avx avx2 avx512_vnni")
    theirs = KernelClass("x86_64", "ai-edge-litert", "2.3.0", cpu_features="avx avx2")
    board = outputs()
    board[3, 4] += 1

    found = compare_outputs((ours, {"y": outputs()}), (theirs, {"y": board}), None, True)

    assert (found.verdict, found.same_class) == (AGREES, False)
    assert "avx512_vnni" in found.reason
    assert (
        compare_outputs((ours, {"y": outputs()}), (ours, {"y": board}), None, True).verdict
        == DIFFERS
    )


def test_other_decisions_across_classes_differ() -> None:
    found = compared(outputs(), flipped(outputs(), 40), ARM)
    assert found.verdict == DIFFERS
    assert "96.0%" in found.reason


def test_a_lost_accuracy_across_classes_differs() -> None:
    found = compared(outputs(), flipped(outputs(), 20), ARM, labels=outputs().argmax(axis=1))
    assert found.agreement >= 0.97
    assert found.verdict == DIFFERS
    assert "accuracy" in found.reason
    assert found.accuracy_interval is not None
    assert found.accuracy_interval[1] < 0


def test_too_few_inputs_across_classes_settle_nothing() -> None:
    board = outputs(499)
    board[0, 0] += 1
    assert compared(outputs(499), board, ARM).verdict == INCONCLUSIVE


def test_random_inputs_across_classes_settle_nothing() -> None:
    board = outputs()
    board[0, 0] += 1
    assert compared(outputs(), board, ARM, real=False).verdict == INCONCLUSIVE


def test_a_missing_output_differs() -> None:
    found = compare_outputs((HOST, {"y": outputs()}), (ARM, {"z": outputs()}), None, True)
    assert found.verdict == DIFFERS


def test_an_output_of_another_shape_differs() -> None:
    assert compared(outputs(), outputs()[:, :5], ARM).verdict == DIFFERS


def test_a_single_float_output_is_decided_at_one_half() -> None:
    host = np.linspace(0, 1, 1000, dtype=np.float32).reshape(-1, 1)
    found = compared(host, host + np.float32(5e-5), ARM)
    assert found.beyond_one == 0
    assert found.agreement > 0.99


def test_outputs_that_are_no_numbers_differ() -> None:
    host = np.zeros((1000, 2), np.float32)
    board = host.copy()
    board[0] = np.nan
    assert compared(host, board, ARM).verdict == DIFFERS


def numbers(host: Array, board: Array, kernel_class: KernelClass = ARM) -> Parity:
    return compare_outputs(
        (HOST, {"y": host}), (kernel_class, {"y": board}), None, True, numbers=True
    )


def test_numbers_are_judged_by_their_differences_and_not_by_the_largest_of_them() -> None:
    host = np.zeros((600, 40), np.int8)  # of a constant picture any pixel may be the largest
    board = host.copy()
    board[:, ::3] += 1
    found = numbers(host, board)
    assert found.verdict == AGREES
    assert "0.59 steps" in found.reason
    assert found.agreement == 1
    board[:, 1] += 9
    found = numbers(host, board)
    assert found.verdict == DIFFERS
    assert "more than rounding makes" in found.reason


def test_float_numbers_are_judged_by_their_spread() -> None:
    host = np.random.default_rng(1).normal(0, 50, (600, 2)).astype(np.float32)
    assert numbers(host, host + np.float32(0.01)).verdict == AGREES
    assert numbers(host, host + np.float32(1)).verdict == DIFFERS
    assert numbers(host, host + np.float32(0.01), HOST).verdict == DIFFERS
    assert numbers(host[:100], host[:100] + np.float32(0.01)).verdict == INCONCLUSIVE


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_numbers_beside_a_value_that_is_none_are_judged(odd: float) -> None:
    host = np.random.default_rng(2).normal(0, 50, (600, 2)).astype(np.float32)
    host[7, 1] = odd
    assert numbers(host, host + np.float32(0.01)).verdict == AGREES
    found = numbers(host, host + np.float32(100))
    assert found.verdict == DIFFERS
    assert "nan" not in found.reason


def test_a_rounding_of_an_output_that_hardly_changes_is_no_difference() -> None:
    for value in (1.0, -300.0, 2e-5):
        host = np.full((600, 1), value, np.float32)
        board = np.nextafter(host, np.float32(np.inf))
        assert numbers(host, board).verdict == AGREES
        assert numbers(host, host * np.float32(1.001)).verdict == DIFFERS
    assert numbers(np.zeros((600, 1), np.float32), np.full((600, 1), 1e-9)).verdict == DIFFERS


def test_large_integers_that_a_float_cannot_tell_apart_are_not_equal() -> None:
    host = np.full((600, 2), 2**53, np.int64)
    assert compared(host, host.copy()).verdict == EQUAL
    parity = compared(host, host + 1)
    assert (parity.verdict, parity.largest_difference) == (DIFFERS, 1)


def test_a_board_that_answers_no_sample_proves_nothing() -> None:
    nothing = np.zeros((0, 4), np.int8)
    parity = compared(nothing, nothing, real=False)
    assert (parity.verdict, parity.reason) == (INCONCLUSIVE, "no sample was answered")
    assert compare_outputs((HOST, {}), (HOST, {}), None, False).verdict == INCONCLUSIVE


def test_infinities_on_both_sides_are_equal() -> None:
    values = np.array([[np.inf, -np.inf, np.nan, 1.0]] * 3, np.float32)
    parity = compare_outputs((HOST, {"y": values}), (HOST, {"y": values.copy()}), None, False)
    assert parity.verdict == EQUAL


def test_truth_values_and_empty_outputs_are_compared() -> None:
    truths = {"y": np.array([True, False]), "nothing": np.zeros((2, 0), np.float32)}
    assert compare_outputs((HOST, truths), (HOST, dict(truths)), None, False).verdict == EQUAL


def test_every_part_of_a_large_output_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolkit.judge.parity._COMPARED_AT_ONCE", 4)
    for shape in ((6, 2), (3, 10)):
        host, board = np.zeros(shape, np.int8), np.zeros(shape, np.int8)
        board[-1, -1], board[1, 0] = 7, 3
        parity = compare_outputs((HOST, {"y": host}), (HOST, {"y": board}), None, False)
        assert parity.largest_difference == 7
        assert parity.beyond_one == 2 / len(host)


def test_outputs_of_training_samples_count_without_labels() -> None:
    values = outputs(600)
    board = values.copy()
    board[:, 0] -= 1
    labels = values[:397].argmax(axis=1)
    parity = compared(values, board, ARM, labels=labels)
    assert (parity.verdict, parity.samples, parity.host_accuracy) == (AGREES, 600, 1.0)
    # The held-out samples alone settle nothing.
    assert compared(values[:397], board[:397], ARM, labels=labels).verdict == INCONCLUSIVE


def test_the_report_says_how_many_samples_are_of_the_training() -> None:
    values = outputs(600)
    parity = replace(compared(values, values, ARM), training_samples=203)
    (line, *_) = describe_parity(parity)
    assert line.startswith("outputs EQUAL over 600 real (397 held-out, 203 training) inputs: ")
