"""Models of PyTorch from the module or its program to the file, with data in its layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tomllib

from converters.errors import ConversionError
from converters.evidence.conversion import read_conversion
from converters.evidence.model_toml import MODEL_TOML
from converters.request import ConversionRequest
from converters.tflite.run import run_model
from tests.converters.sources.test_torch_files import torch_files
from tests.converters.warm import convert


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return torch_files(tmp_path_factory)


def share_right(model: Path, files: Path) -> float:
    """Accuracy of a file, fed as an application feeds it."""
    with np.load(files / "data.npz") as arrays:
        x, y = arrays["x_test"].transpose(0, 2, 3, 1), arrays["y_test"]
    (answers,) = run_model(model, {"input": x}).values()
    return float((answers.argmax(1) == y).mean())


def test_a_program_and_arrays_in_its_layout_become_a_file_of_channels_last(
    files: Path, tmp_path: Path
) -> None:
    request = ConversionRequest(files / "model.pt2", files / "data.npz", "ptq_w8a8", tmp_path)
    made = convert(request)
    assert made.float_accuracy is not None and made.accuracy is not None
    assert made.float_accuracy.fraction > 0.95
    assert made.accuracy.fraction > 0.95
    assert made.inputs[0].shape == (1, 10, 12, 3)
    assert read_conversion(tmp_path).data_axes == {"": (1, 2, 0)}
    card = tomllib.loads((tmp_path / MODEL_TOML).read_text())
    assert card["inputs"]["input"]["axes"] == [1, 2, 0]


def test_a_module_in_training_mode_and_datasets_train_further(files: Path, tmp_path: Path) -> None:
    request = ConversionRequest(
        files / "my_model:make", files / "my_model:load", "qat_w8a8", tmp_path
    )
    made = convert(request)
    assert made.accuracy is not None
    assert made.accuracy.fraction > 0.95
    assert made.source.endswith("my_model:make")
    assert made.source_bytes > 1000


@pytest.mark.parametrize(
    ("name", "words"),
    {
        "pair": "returned a tuple of 2",
        "bare": "without an example",
        "batch": r"shape \(4, 3, 10, 12\)",
        "branch": "cannot follow the module",
        "load": "returned a dict",
    }.items(),
)
def test_what_is_no_module_to_follow_is_one_message(
    files: Path, tmp_path: Path, name: str, words: str
) -> None:
    out = tmp_path / "out"
    request = ConversionRequest(files / f"my_model:{name}", files / "data.npz", "ptq_w8a8", out)
    with pytest.raises(ConversionError, match=words) as caught:
        convert(request)
    assert caught.value.hint
    assert not out.exists()


def test_arrays_of_another_layout_are_never_guessed(files: Path, tmp_path: Path) -> None:
    with np.load(files / "data.npz") as arrays:
        turned = {n: a.transpose(0, 2, 3, 1) if a.ndim == 4 else a for n, a in arrays.items()}
    np.savez(tmp_path / "data.npz", **turned)
    request = ConversionRequest(
        files / "model.pt2", tmp_path / "data.npz", "ptq_w8a8", tmp_path / "out"
    )
    with pytest.raises(ConversionError, match=r"the model takes \(n, 3, 10, 12\)") as caught:
        convert(request)
    assert "transpose(0, 3, 1, 2)" in caught.value.hint
