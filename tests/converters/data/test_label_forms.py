"""Soft labels and class names as labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.data.array_data import dataset_from_arrays
from converters.data.dataset import TRAIN, InputForm, Selection
from converters.data.label_forms import soft_labels
from converters.errors import ConversionError
from converters.progress import ignore
from converters.request import ConversionRequest
from tests.converters.warm import convert

FORM = InputForm((3,), 4, (4,), probabilities=True)


def arrays(y_train: Any, y_test: Any) -> dict[str, Any]:
    sizes = (len(y_train), len(y_test))
    x_train, x_test = (np.zeros((size, 3), np.float32) for size in sizes)
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test}


def test_shares_are_kept_for_training_and_judged_by_the_largest() -> None:
    soft = np.eye(4)[np.arange(12) % 4] * 0.8 + 0.05
    dataset = dataset_from_arrays(Path("d"), arrays(soft, soft), FORM)
    assert dataset.task.is_classification
    assert dataset.task.soft_labels
    assert dataset.labels[TRAIN].tolist() == [0, 1, 2, 3] * 3
    rows = np.array([1, 2])
    (samples,) = dataset.read({"some": Selection(TRAIN, rows)}, ignore).values()
    assert samples.shares is not None
    np.testing.assert_allclose(samples.shares, soft[rows], atol=1e-6)


@pytest.mark.parametrize(
    "array",
    [
        np.eye(4)[[0, 1]],
        np.array([[0.5, 0.2, 0.1, 0.1], [1.0, 0.0, 0.0, 0.0]]),
        np.array([[1.2, -0.2, 0.0, 0.0]]),
        np.array([0, 1]),
    ],
    ids=["one-hot", "sum below 1", "negative", "numbers"],
)
def test_other_labels_are_no_shares(array: Any) -> None:
    assert soft_labels(array, 4) is None


def test_a_share_of_class_1_is_enough_for_two_classes() -> None:
    shares = soft_labels(np.array([0.9, 0.25]), 2)
    assert shares is not None
    np.testing.assert_allclose(shares, [[0.1, 0.9], [0.75, 0.25]], atol=1e-6)


@pytest.mark.parametrize("kind", ["str", "bytes", "column"])
def test_names_are_numbered_in_order_and_kept(kind: str) -> None:
    names = np.array(["cow", "ant", "dog", "bee"] * 3)
    given = {"str": names, "bytes": names.astype("S"), "column": names[:, None]}[kind]
    dataset = dataset_from_arrays(Path("d"), arrays(given, given[:4]), FORM)
    assert dataset.class_names == ("ant", "bee", "cow", "dog")
    assert dataset.labels[TRAIN][:4].tolist() == [2, 0, 3, 1]


def test_too_few_names_are_refused_by_name() -> None:
    names = np.array(["cow", "ant", "dog"] * 4)
    with pytest.raises(ConversionError, match="3 names .'ant', 'cow', 'dog'.* 4 classes"):
        dataset_from_arrays(Path("d"), arrays(names, names), FORM)
    with pytest.raises(ConversionError, match="has class names, y_test has numbers"):
        dataset_from_arrays(Path("d"), arrays(names, np.arange(12) % 4), FORM)


def test_a_model_trains_on_soft_labels_and_keeps_names(
    digits_request: ConversionRequest, tmp_path: Path
) -> None:
    with np.load(digits_request.data) as file:
        data = dict(file)
    soft = {f"y_{part}": np.eye(10)[data[f"y_{part}"]] * 0.9 + 0.01 for part in ("train", "test")}
    np.savez(tmp_path / "soft.npz", **{**data, **soft})
    request = replace(digits_request, data=tmp_path / "soft.npz", out=tmp_path / "out")
    conversion = convert(replace(request, recipe="qat_w8a8"))
    assert conversion.accuracy is not None
    assert conversion.accuracy.fraction > 0.9
    names = {f"y_{part}": data[f"y_{part}"].astype(str) for part in ("train", "test")}
    np.savez(tmp_path / "names.npz", **{**data, **names})
    request = replace(digits_request, data=tmp_path / "names.npz", out=tmp_path / "names")
    convert(request)
    assert '"7",' in (tmp_path / "names" / "model.toml").read_text()
