"""The note on a loss by the rounding of the input alone."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from converters.judge.input_rounding import input_rounding_warnings
from converters.judge.paired import Drop
from converters.tensor_spec import TensorSpec

FILE: Any = SimpleNamespace(inputs=(TensorSpec("x", (1, 4), "int8", 0.1, 0),))


def test_a_loss_names_the_calibration_that_cuts_off_numbers_that_lie_far_out() -> None:
    (note,) = input_rounding_warnings(Drop("test", 300, 8, 0, (0.01, 0.05)), FILE)
    assert "to int8 alone loses 2.7%" in note
    assert '`calibration = "percentile"`' in note


def test_a_loss_that_may_be_chance_is_no_note() -> None:
    assert input_rounding_warnings(Drop("test", 300, 3, 1, (-0.01, 0.02)), FILE) == ()
