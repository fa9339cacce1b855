"""What can be seen to fail is refused at once: TensorFlow is not started for it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters import child
from converters.comparison.compare import compare_recipes
from converters.errors import ConversionError
from converters.process import convert, plan
from converters.request import ConversionRequest
from converters.sources.declared_shapes import declared_shapes


@pytest.fixture
def refuse(
    digits_request: ConversionRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., ConversionError]:
    """A function that converts, plans and compares, and returns the error of all three."""
    monkeypatch.setattr(child, "start_process", lambda *_: pytest.fail("a child was started"))

    def run(**changes: Any) -> ConversionError:
        request = replace(digits_request, **{"out": tmp_path / "out", **changes})
        errors = []
        for act in (
            lambda: convert(request),
            lambda: plan(request),
            lambda: plan(request, ("ptq_w8a8", "float32")),
            lambda: compare_recipes(request, ("ptq_w8a8", "float32")),
        ):
            with pytest.raises(ConversionError) as caught:
                act()
            errors.append(str(caught.value))
            assert caught.value.hint
        assert len(set(errors)) == 1, errors
        assert not (tmp_path / "out").exists()
        return caught.value

    return run


@pytest.fixture
def arrays(digits: Path) -> dict[str, Any]:
    with np.load(digits / "digits.npz") as file:
        return dict(file)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a | {"x_train": a["x_train"][..., 0]}, r"x_train has the shape \(\d+, 8, 8\)"),
        (lambda a: a | {"x_test": a["x_test"][:, :4]}, r"x_test has the shape \(359, 4, 8, 1\)"),
        (lambda a: {n: v for n, v in a.items() if n != "x_test"}, "array x_test is missing"),
        (lambda a: {n: v for n, v in a.items() if n != "x_train"}, "array x_train is missing"),
        (lambda a: {n: v for n, v in a.items() if n != "y_test"}, "array y_test is missing"),
        (lambda a: a | {"y_test": a["y_test"] + 5}, r"y_test has the label \d+"),
        (lambda a: a | {"y_train": a["y_train"][:-3]}, "1435 labels"),
        (lambda a: a | {"x_train": np.full_like(a["x_train"], np.nan)}, "NaN or infinity"),
    ],
)
def test_wrong_arrays(
    refuse: Callable[..., ConversionError],
    arrays: dict[str, Any],
    tmp_path: Path,
    change: Callable[..., Any],
    message: str,
) -> None:
    np.savez_compressed(tmp_path / "wrong.npz", **change(arrays))
    error = refuse(data=tmp_path / "wrong.npz")
    assert re.search(message, str(error)), error


def test_python_in_the_place_of_data_leads_to_its_function(
    refuse: Callable[..., ConversionError], tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text("def load(): return {}\n")
    error = refuse(data=tmp_path / "train.py")
    assert "is not data that kedge knows" in str(error)
    assert "--data train:load" in error.hint


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("absent:load", "there is no module absent"),
        ("mine:laod", "the module mine was found, laod is not in it"),
        ("mine.py:load", "there is no module mine.py"),
        ("broken:load", "cannot be read"),
    ],
)
def test_a_function_that_is_not_there(
    refuse: Callable[..., ConversionError], tmp_path: Path, name: str, message: str
) -> None:
    (tmp_path / "mine.py").write_text("import sys\nsys.exit('it was run')\ndef load(): pass\n")
    (tmp_path / "broken.py").write_text("def load(:\n")
    error = refuse(data=tmp_path / name)
    assert message in str(error)
    assert "mine" not in sys.modules


def test_an_image_folder_with_other_classes_than_the_model(
    refuse: Callable[..., ConversionError], images: Callable[..., Path]
) -> None:
    assert "has 3 class folders" in str(refuse(data=images()))


def layer(kind: str, **config: Any) -> dict[str, Any]:
    return {"class_name": kind, "config": {"name": kind.lower(), **config}}


def test_shapes_of_a_sequence() -> None:
    first = layer("Conv2D", batch_input_shape=[None, 8, 8, 3])
    layers = [first, layer("Flatten"), layer("Dense", units=7), layer("Softmax")]
    shapes = declared_shapes({"class_name": "Sequential", "config": {"layers": layers}})
    assert list(shapes.inputs.values()) == [(None, 8, 8, 3)]
    assert shapes.units == 7


def test_a_dense_layer_over_a_series_gives_no_row() -> None:
    layers = [layer("InputLayer", batch_shape=[None, 9, 4]), layer("LSTM"), layer("Dense", units=2)]
    shapes = declared_shapes({"class_name": "Sequential", "config": {"layers": layers}})
    assert shapes.inputs == {"inputlayer": (None, 9, 4)}
    assert shapes.units is None


@pytest.mark.parametrize("version", [2, 3])
def test_shapes_of_a_functional_model(version: int) -> None:
    history = {"class_name": "__keras_tensor__", "config": {"keras_history": ["NAME", 0, 0]}}

    def node(name: str) -> Any:
        if version == 2:
            return [[[name, 0, 0, {}]]]
        tensor = {**history, "config": {"keras_history": [name, 0, 0]}}
        return [{"args": [tensor], "kwargs": {}}]

    layers = [
        {**layer("InputLayer", batch_shape=[None, 5]), "inbound_nodes": []},
        {**layer("Dense", units=3), "inbound_nodes": node("inputlayer")},
    ]
    ends = {"input_layers": [["inputlayer", 0, 0]], "output_layers": ["dense", 0, 0]}
    shapes = declared_shapes({"class_name": "Functional", "config": {"layers": layers, **ends}})
    assert (shapes.inputs, shapes.units) == ({"inputlayer": (None, 5)}, 3)


@pytest.mark.parametrize("config", [{}, [], None, {"class_name": "Sequential", "config": []}])
def test_what_is_no_model_declares_nothing(config: Any) -> None:
    shapes = declared_shapes(config)
    assert (shapes.inputs, shapes.units) == ({}, None)
