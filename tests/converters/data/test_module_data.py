from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.data.data_source import open_dataset
from converters.data.dataset import Dataset, InputForm
from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.process import convert
from converters.request import ConversionRequest

FORM = InputForm((3,), 2, (2,))
HEAD = "import numpy as np\nx = np.arange(90.0).reshape(30, 3)\ny = np.arange(30) % 2\n"
ARRAYS = "{'x_train': x, 'y_train': y, 'x_test': x[:8], 'y_test': y[:8]}"


def written(folder: Path, body: str, name: str) -> Path:
    (folder / f"{name}.py").write_text(HEAD + body)
    return folder / f"{name}:load"


def loaded(folder: Path, body: str, name: str) -> Dataset | None:
    return open_dataset(written(folder, body, name), FORM, "0..255", 0)


def sizes(dataset: Dataset) -> dict[str, int]:
    return {split: len(labels) for split, labels in dataset.labels.items()}


GOOD = {
    "dict": ARRAYS,
    "pairs": "{'train': (x, y), 'test': (x[:8], y[:8])}",
    "tuple": "((x, y), (x[:8], y[:8]))",
    "lists": "((x.tolist(), y.tolist()), (x[:8].tolist(), y[:8].tolist()))",
}


@pytest.mark.parametrize("given", GOOD, ids=list(GOOD))
def test_every_usual_form_of_arrays_is_taken(tmp_path: Path, given: str) -> None:
    dataset = loaded(tmp_path, f"def load():\n    return {GOOD[given]}\n", f"good_{given}")
    assert sizes(dataset) == {"train": 30, "test": 8}
    np.testing.assert_array_equal(dataset.labels["test"], np.arange(8) % 2)


UNLABELLED = {
    "dict": "{'x_train': x, 'y_train': None, 'x_test': x[:8], 'y_test': None}",
    "pairs": "{'train': (x, None), 'test': (x[:8], None)}",
    "alone": "{'train': x, 'test': x[:8]}",
    "tuple": "(x, x[:8])",
}


@pytest.mark.parametrize("given", UNLABELLED, ids=list(UNLABELLED))
def test_every_usual_form_without_labels_is_taken(tmp_path: Path, given: str) -> None:
    path = written(tmp_path, f"def load():\n    return {UNLABELLED[given]}\n", f"bare_{given}")
    dataset = open_dataset(path, replace(FORM, probabilities=True), "0..255", 0)
    assert dataset.unlabelled == {"train", "test"}
    assert sizes(dataset) == {"train": 30, "test": 8}


def test_the_digest_is_that_of_the_numbers(tmp_path: Path) -> None:
    one = loaded(tmp_path, f"def load():\n    return {ARRAYS}\n", "digest_one")
    same = loaded(tmp_path, "def load():\n    return ((x, y), (x[:8], y[:8]))\n", "digest_two")
    other = loaded(tmp_path, "def load():\n    return ((x + 1, y), (x, y))\n", "digest_three")
    assert one.content_sha256 == same.content_sha256 != other.content_sha256
    assert len(one.content_sha256) == 64


WRONG = {
    "none": ("def load(): return None", "returned None"),
    "name": ("def load(): return {'x_train': x, 'X_test': x}", "returned a dict with 'X_test'"),
    "split": ("def load(): return {'train': (x, y), 'valid': (x, y)}", "'train', 'valid'"),
    "part": ("def load(): return {'train': 'x', 'test': (x, y)}", "as train a str"),
    "raises": ("def load():\n    return x[99]\n", r"(?s)Traceback.*return x\[99\].*IndexError"),
    "import": ("import no_such_thing", r"(?s)fails:.*ModuleNotFoundError.*no_such_thing"),
    "syntax": ("def load(:\n    pass\n", "(?s)fails:.*SyntaxError"),
    "absent": ("def lod(): return 1", "load is not in it"),
    "number": ("load = 3", "load is not a function"),
    "argument": ("def load(path): return path", "(?s)TypeError.*missing 1 required"),
    "ragged": ("def load(): return ((np.array([[1], [2, 3]], object), y), (x, y))", "objects"),
    "shape": ("def load(): return ((x[:, :2], y), (x, y))", r"x_train has the shape \(30, 2\)"),
    "labels": ("def load(): return ((x, y), (x, y[:8]))", "30 samples, y_test has 8 labels"),
}


@pytest.mark.parametrize("case", WRONG, ids=list(WRONG))
def test_what_is_wrong_with_a_function_is_told(tmp_path: Path, case: str) -> None:
    body, message = WRONG[case]
    with pytest.raises(ConversionError, match=message) as caught:
        loaded(tmp_path, body, f"wrong_{case}")
    assert caught.value.exit_code == 4
    assert caught.value.hint


def test_a_module_that_is_not_there_is_named_with_its_folder(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=f"no module no_such_data in {tmp_path}"):
        open_dataset(tmp_path / "no_such_data:load", FORM, "0..255", 0)


def test_a_name_that_an_installed_package_has_does_not_hide_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # `colorsys` is of the standard library; who imported it before is forgotten.
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    dataset = loaded(tmp_path, f"def load():\n    return {ARRAYS}\n", "colorsys")
    assert len(dataset.labels["train"]) == 30


def test_a_range_of_images_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, f"def load():\n    return {ARRAYS}\n", "ranged")
    with pytest.raises(ConversionError, match="is for images"):
        open_dataset(path, FORM, "0..1", 0)


DIGITS = """
import pathlib
import numpy as np
import tensorflow as tf
import beside

data = np.load(beside.PATH)

def load():
    def dataset(split):
        pairs = tf.data.Dataset.from_tensor_slices((data["x_" + split], data["y_" + split]))
        return pairs.map(lambda x, y: (x, y)).batch(100) if split == "train" else pairs
    return {"train": dataset("train"), "test": dataset("test")}
"""


def test_tf_data_gives_the_file_that_the_same_arrays_give(
    digits_request: ConversionRequest, digits_ptq: Conversion, tmp_path: Path
) -> None:
    (tmp_path / "digits_data.py").write_text(DIGITS)
    (tmp_path / "beside.py").write_text(f"PATH = {str(digits_request.data)!r}\n")
    request = replace(digits_request, data=tmp_path / "digits_data:load", out=tmp_path / "out")
    made = convert(request)
    assert made.model_sha256 == digits_ptq.model_sha256
    assert made.accuracy == digits_ptq.accuracy
    assert made.splits == digits_ptq.splits
    plain = json.loads((tmp_path / "out" / "conversion.json").read_text())
    assert len(plain["data_sha256"]) == 64
    assert plain["data"] == str(tmp_path / "digits_data:load")
