"""A model with a single output decides on the board as it does in its conversion."""

import numpy as np

from device_agent.contract.measurement import KernelClass
from toolkit.judge.parity import compare_outputs

HOST = KernelClass("x86_64", "ai-edge-litert", "2.3.0")


def accuracy(values: list[int], labels: list[int], threshold: float | None) -> float | None:
    outputs = {"y": np.array(values, np.int8).reshape(-1, 1)}
    found = compare_outputs((HOST, outputs), (HOST, outputs), np.array(labels), True, threshold)
    return found.board_accuracy


def test_a_probability_of_exactly_one_half_is_class_0() -> None:
    # scale 1/256, zero point -128: q = 0 stands for 0.5, which is not above 0.5
    assert accuracy([0, 1, -1, 127], [0, 1, 0, 1], threshold=0.5 * 256 - 128) == 1


def test_a_logit_decides_at_its_zero_point() -> None:
    assert accuracy([-40, -39, -41], [0, 1, 0], threshold=-40) == 1
    assert accuracy([-40, -39, -41], [0, 1, 0], threshold=None) != 1
