"""Rules for inputs and outputs that the host and the board share."""

import pytest

from device_agent.contract.tensors import sample_shape, unique_names


@pytest.mark.parametrize(
    ("names", "unique"),
    [
        (["a", "b"], ["a", "b"]),
        (["a", "a"], ["0:a", "1:a"]),
        (["", ""], ["0", "1"]),
        (["", "0"], ["0", "1:0"]),
        ([], []),
    ],
)
def test_every_name_is_there_once(names: list[str], unique: list[str]) -> None:
    assert unique_names(names) == unique


@pytest.mark.parametrize(
    ("shape", "sample"), [([1, 3], [3]), ([3, 1], [3, 1]), ([], []), ([1], [])]
)
def test_only_a_batch_of_one_is_left_out(shape: list[int], sample: list[int]) -> None:
    assert sample_shape(shape) == sample
