"""The layout of a source: data is transposed as the source declares, also where all is equal."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converters.data.dataset import InputForm
from converters.data.layout import (
    arrange_arrays,
    from_source_layout,
    shape_in_source,
    to_source_layout,
)
from converters.errors import ConversionError

X = np.arange(2 * 3 * 3 * 3).reshape(2, 3, 3, 3)


@pytest.mark.parametrize("axes", [(), (1, 2, 0), (2, 0, 1), (0, 2, 1)])
def test_a_batch_comes_back_to_its_layout(axes: tuple[int, ...]) -> None:
    batch = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    inner = from_source_layout(batch, axes)
    assert (to_source_layout(inner, axes) == batch).all()
    assert shape_in_source(inner.shape[1:], axes) == (3, 4, 5)


def test_equal_sizes_are_transposed_as_the_source_declares() -> None:
    first = InputForm((3, 3, 3), 2, axes={"": (1, 2, 0)})
    arranged = arrange_arrays(Path("data.npz"), {"x_test": X, "y_test": np.zeros(2)}, first)
    assert (arranged["x_test"] == X.transpose(0, 2, 3, 1)).all()
    last = InputForm((3, 3, 3), 2)
    assert (arrange_arrays(Path("data.npz"), {"x_test": X}, last)["x_test"] == X).all()


def test_maps_are_transposed_and_class_numbers_stay() -> None:
    form = InputForm((3, 3, 3), 2, axes={"": (1, 2, 0)}, answer_axes={"": (1, 2, 0)})
    numbers = np.zeros((2, 3, 3), np.int64)
    arrays = {"x_train": X, "y_train": X, "x_test": X, "y_test": numbers}
    arranged = arrange_arrays(Path("data.npz"), arrays, form)
    assert (arranged["y_train"] == X.transpose(0, 2, 3, 1)).all()
    assert arranged["y_test"] is numbers


def test_several_inputs_are_arranged_by_name() -> None:
    form = InputForm((), 2, inputs={"a": (4, 5, 3), "b": (7,)}, axes={"a": (1, 2, 0)})
    arrays = {"x_test.a": np.zeros((2, 3, 4, 5)), "x_test.b": np.zeros((2, 7))}
    arranged = arrange_arrays(Path("data.npz"), arrays, form)
    assert arranged["x_test.a"].shape == (2, 4, 5, 3)
    assert arranged["x_test.b"].shape == (2, 7)


def test_another_shape_is_refused_by_the_shape_of_the_source() -> None:
    form = InputForm((4, 5, 3), 2, axes={"": (1, 2, 0)})
    with pytest.raises(ConversionError, match=r"the model takes \(n, 3, 4, 5\)") as caught:
        arrange_arrays(Path("data.npz"), {"x_test": np.zeros((2, 4, 5, 3))}, form)
    assert "x_test.transpose(0, 3, 1, 2)" in caught.value.hint
