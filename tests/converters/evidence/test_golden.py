from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.evidence.golden import MAX_BYTES, Golden, read_golden, sample_count, write_golden


@pytest.mark.parametrize("labels", [None, np.array([1, 2])])
def test_what_was_written_is_read_again(tmp_path: Path, labels: np.ndarray | None) -> None:
    inputs = {"serving_default_input:0": np.array([[1], [2]], np.int8), "b/c;d": np.ones((2, 3))}
    write_golden(tmp_path / "golden.npz", Golden("ab" * 32, inputs, labels))
    found = read_golden(tmp_path / "golden.npz")
    assert found.model_sha256 == "ab" * 32
    assert found.inputs.keys() == inputs.keys()
    for name, x in inputs.items():
        np.testing.assert_array_equal(found.inputs[name], x)
        assert found.inputs[name].dtype == x.dtype
    np.testing.assert_array_equal(found.labels, labels)


@pytest.mark.parametrize(
    ("available", "sample_bytes", "count"),
    [(359, 64, 359), (10_000, 3072, 1000), (5000, MAX_BYTES // 10, 10), (5, 2 * MAX_BYTES, 1)],
)
def test_a_golden_file_stays_small(available: int, sample_bytes: int, count: int) -> None:
    assert sample_count(available, sample_bytes) == count


def test_inputs_of_training_samples_are_apart_from_the_held_out_ones(tmp_path: Path) -> None:
    path, held_out, more = tmp_path / "golden.npz", np.zeros((2, 3)), np.ones((5, 3))
    write_golden(path, Golden("ab", {"x": held_out}, np.array([1, 2]), more_inputs={"x": more}))
    golden = read_golden(path)
    assert golden.inputs["x"].shape == (2, 3)
    np.testing.assert_array_equal(golden.more_inputs["x"], more)
    write_golden(path, Golden("ab", {"x": held_out}, None, more_inputs={"y": more}))
    with pytest.raises(ConversionError, match="do not fit the others"):
        read_golden(path)


def test_few_held_out_samples_are_joined_by_training_samples(digits_ptq: Conversion) -> None:
    assert digits_ptq.golden is not None
    golden = read_golden(digits_ptq.golden)
    assert {len(values) for values in golden.inputs.values()} == {359}
    assert {len(values) for values in golden.more_inputs.values()} == {141}


def test_pickles_are_never_loaded(tmp_path: Path) -> None:
    path = tmp_path / "golden.npz"
    np.savez(path, model_sha256="x", **{"input/x": np.array([{}], object)})
    with pytest.raises(ConversionError, match="holds no golden inputs"):
        read_golden(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04...."])
def test_another_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "golden.npz"
    path.write_bytes(content)
    with pytest.raises(ConversionError, match="golden.npz: holds no golden inputs"):
        read_golden(path)
