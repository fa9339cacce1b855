from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.data.data_source import open_dataset
from converters.data.dataset import InputForm, Selection
from converters.errors import ConversionError
from converters.progress import ignore

FORM = InputForm((4, 4, 1), 3)


def arrays(**changed: Any) -> dict[str, Any]:
    random = np.random.default_rng(0)
    good = {
        "x_train": random.integers(0, 17, (30, 4, 4, 1)),
        "y_train": np.arange(30) % 3,
        "x_test": random.uniform(0, 1, (9, 4, 4, 1)),
        "y_test": np.arange(9) % 3,
    }
    return {name: x for name, x in {**good, **changed}.items() if x is not None}


def saved(tmp_path: Path, **changed: Any) -> Path:
    path = tmp_path / "data.npz"
    np.savez(path, **arrays(**changed))
    return path


def test_numbers_are_fed_as_they_are(tmp_path: Path) -> None:
    path = saved(tmp_path)
    dataset = open_dataset(path, FORM, "0..255", 0)
    rows = np.array([2, 5])
    samples = dataset.read({"some": Selection("train", rows)}, ignore)["some"]
    assert samples.batch(slice(None)).dtype == np.float32
    np.testing.assert_array_equal(samples.batch(slice(None)), arrays()["x_train"][rows])
    np.testing.assert_array_equal(samples.labels, rows % 3)


def test_a_range_of_images_is_refused_for_arrays(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="fed as they are.* 0..1 is for images"):
        open_dataset(saved(tmp_path), FORM, "0..1", 0)


@pytest.mark.parametrize(
    "labels",
    [(np.arange(9) % 3)[:, None], np.eye(3)[np.arange(9) % 3], (np.arange(9) % 3).astype("f4")],
    ids=["column", "one-hot", "float"],
)
def test_labels_come_in_any_usual_form(tmp_path: Path, labels: np.ndarray) -> None:
    dataset = open_dataset(saved(tmp_path, y_test=labels), FORM, "0..255", 0)
    np.testing.assert_array_equal(dataset.labels["test"], np.arange(9) % 3)


REFUSED = {
    "missing": ({"x_test": None}, "array x_test is missing; its arrays are: x_train"),
    "shape": ({"x_train": np.zeros((30, 5, 4, 1))}, r"x_train has the shape \(30, 5, 4"),
    "scalar": ({"x_train": np.float32(1)}, "x_train has the shape"),
    "nan": ({"x_test": np.full((9, 4, 4, 1), np.nan)}, "x_test has NaN or infinity in 9 of 9"),
    "range": ({"y_test": np.arange(9)}, "y_test has the label 3 at sample 3.*from 0 to 2"),
    "negative": ({"y_train": np.arange(30) - 1}, "y_train has the label -1"),
    "fraction": ({"y_test": np.full(9, 0.5)}, "y_test has the label 0.5"),
    "nan label": ({"y_test": np.full(9, np.nan)}, "y_test has the label nan"),
    "count": ({"y_test": np.zeros(8, int)}, "x_test has 9 samples, y_test has 8 labels"),
    "label shape": ({"y_test": np.zeros((9, 2, 2))}, r"y_test has the shape \(9, 2, 2\)"),
    "not one-hot": ({"y_test": np.ones((9, 3))}, "y_test is not one-hot at sample 0"),
    "objects": ({"y_train": np.array([[1], [2, 3]], object)}, "y_train cannot be read"),
    "text": ({"y_train": np.array(["ant"] * 30)}, "y_train has class names, y_test has numbers"),
    "few": ({"x_train": np.zeros((3, 4, 4, 1)), "y_train": np.arange(3)}, "has 3 training"),
    "none": ({"x_test": np.zeros((0, 4, 4, 1)), "y_test": np.zeros(0, int)}, "and 0 test samples"),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_wrong_arrays_are_named(tmp_path: Path, changed: dict[str, Any], message: str) -> None:
    path = saved(tmp_path, **changed)
    with pytest.raises(ConversionError, match=message) as caught:
        open_dataset(path, FORM, "0..255", 0)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == 4
    assert caught.value.hint


def test_a_forgotten_channel_axis_is_said(tmp_path: Path) -> None:
    path = saved(tmp_path, x_train=np.zeros((30, 4, 4)))
    with pytest.raises(ConversionError) as caught:
        open_dataset(path, FORM, "0..255", 0)
    assert "x_train[..., np.newaxis]" in caught.value.hint


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_cut_off_npz_is_refused(tmp_path: Path, share: float) -> None:
    path = saved(tmp_path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(ConversionError, match=str(path)):
        open_dataset(path, FORM, "0..255", 0)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text("1,2,3")
    with pytest.raises(
        ConversionError, match="is not data that kedge knows: it is a text that begins with '1,2,3"
    ):
        open_dataset(path, FORM, "0..255", 0)
