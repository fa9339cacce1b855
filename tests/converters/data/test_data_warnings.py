from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.data.array_data import dataset_from_arrays
from converters.data.data_warnings import data_warnings
from converters.data.dataset import InputForm, Selection
from converters.progress import ignore

X = np.random.default_rng(0).normal(size=(30, 4))
LABELS = np.arange(30) % 3
Y = X[:, :2] * 2


def warned(tmp_path: Path, outputs: int, **changed: Any) -> tuple[Any, ...]:
    arrays = {"x_train": X, "y_train": LABELS, "x_test": X[:9], "y_test": LABELS[:9], **changed}
    dataset = dataset_from_arrays(tmp_path, arrays, InputForm((4,), max(2, outputs), (outputs,)))
    rows = {use: Selection(use, np.arange(len(dataset.labels[use]))) for use in ("train", "test")}
    return data_warnings(dataset, dataset.read(rows, ignore), max(2, outputs))


def test_good_data_is_left_alone(tmp_path: Path) -> None:
    assert warned(tmp_path, 3) == ()
    assert warned(tmp_path, 2, y_train=Y, y_test=Y[:9]) == ()


POOR = {
    "class": (5, {}, "2 of 5 classes have no train sample (3, 4): what is trained unlearns"),
    "test": (3, {"y_test": np.zeros(9, int)}, "2 of 3 classes have no test sample (1, 2)"),
    "constant": (3, {"x_train": np.ones((30, 4))}, "all train samples are the same"),
    "answers": (2, {"y_train": Y, "y_test": Y[:9] * 0}, "all right answers of the test samples"),
}


@pytest.mark.parametrize(("outputs", "changed", "message"), POOR.values(), ids=POOR.keys())
def test_poor_data_is_told(
    tmp_path: Path, outputs: int, changed: dict[str, Any], message: str
) -> None:
    assert any(warning.startswith(message) for warning in warned(tmp_path, outputs, **changed))
