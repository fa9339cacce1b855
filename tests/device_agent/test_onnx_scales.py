"""Scales in the metadata of an .onnx: written and read, and damaged entries named."""

import pytest

from device_agent.contract.onnx_scales import IntegerScale, scales_from_text, scales_to_text
from device_agent.contract.records import RecordError


def test_scales_survive_writing_and_reading() -> None:
    scales = {"input": IntegerScale(1 / 127, -3), "output:0": IntegerScale(0.00390625, 128)}
    assert scales_from_text(scales_to_text(scales)) == scales


def test_a_file_without_the_entry_has_no_scales() -> None:
    assert scales_from_text("") == {}


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{",
        '{"x": 1}',
        '{"x": [1.0]}',
        '{"x": [0.0, 0]}',
        '{"x": [-1.0, 0]}',
        '{"x": ["1", 0]}',
        '{"x": [1.0, 0.5]}',
        '{"x": [NaN, 0]}',
        '{"x": [1.0, 99999999999999999999]}',
        "x" * (1 << 21),
    ],
)
def test_a_damaged_entry_is_named(text: str) -> None:
    with pytest.raises(RecordError):
        scales_from_text(text)
