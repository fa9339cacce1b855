"""Models that do not fit: one message each, and nothing is left behind."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from converters.errors import ConversionError
from converters.request import ConversionRequest
from tests.converters.warm import convert

REFUSED = {
    "lambda.h5": "layer 'twice' is a Lambda layer",
    "custom.h5": "layer 'mine' is of the class Doubling",
    "custom.keras": "layer 'mine' is of the class Doubling",
    "custom3.keras": "layer 'mine' is of the class Doubling3",
    "dynamic.h5": r"input has the shape \(None, None, None, 1\)",
}


@pytest.mark.parametrize(("name", "message"), REFUSED.items())
def test_a_model_that_does_not_fit_is_named(
    zoo: Path, digits_request: ConversionRequest, tmp_path: Path, name: str, message: str
) -> None:
    request = replace(digits_request, model=zoo / name, out=tmp_path / "out")
    with pytest.raises(ConversionError, match=message) as caught:
        convert(request)
    assert str(zoo / name) in str(caught.value)
    assert caught.value.exit_code == 4
    assert caught.value.hint
    assert not (tmp_path / "out").exists()


def test_class_numbers_do_not_teach_a_model_that_gives_pictures(
    zoo: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    request = replace(digits_request, model=zoo / "picture_out.h5", out=tmp_path / "out")
    with pytest.raises(ConversionError, match=r"the model gives \(6, 6, 3\) for each sample"):
        convert(request)
    assert not (tmp_path / "out").exists()


def test_data_that_does_not_fit_the_model_leaves_nothing(
    digits_request: ConversionRequest, tmp_path: Path
) -> None:
    np.savez(
        tmp_path / "data.npz",
        x_train=np.zeros((20, 9, 9, 1)),
        y_train=np.zeros(20, int),
        x_test=np.zeros((2, 9, 9, 1)),
        y_test=np.zeros(2, int),
    )
    out = tmp_path / "out"
    out.mkdir()
    (out / "kept.txt").write_text("the user's")
    with pytest.raises(ConversionError, match=r"x_train has the shape \(20, 9, 9, 1\)"):
        convert(replace(digits_request, data=tmp_path / "data.npz", out=out))
    assert [path.name for path in out.iterdir()] == ["kept.txt"]


def test_a_model_that_tensorflow_cannot_compute_ends_in_a_sentence(
    zoo: Path, digits_request: ConversionRequest, tmp_path: Path
) -> None:
    model = tmp_path / "model.h5"
    shutil.copy(zoo / "keras3.h5", model)
    with h5py.File(model, "r+") as file:
        text = str(file.attrs["model_config"])
        assert '"activation": "relu"' in text
        file.attrs["model_config"] = text.replace('"relu"', '"deserialize"')
    with pytest.raises(ConversionError, match=r"TensorFlow cannot compute it: TypeError"):
        convert(replace(digits_request, model=model, out=tmp_path / "out"))


def test_a_pipe_is_no_model(digits_request: ConversionRequest, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.h5")
    with pytest.raises(ConversionError, match="is neither a file nor a folder"):
        convert(replace(digits_request, model=tmp_path / "pipe.h5", out=tmp_path / "out"))
