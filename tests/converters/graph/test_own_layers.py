from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from converters.data.task import TaskWish
from converters.errors import ConversionError
from converters.sources.allowed_classes import KerasNames, first_unknown
from converters.sources.architecture import StoredLayer
from converters.sources.custom_objects import custom_objects
from tests.converters.conftest import run_program

CASES = ("own layers in h5", "strange", "strange, trained", "nobody's layers", "own layers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own")
    run_program("task_models", path, "own_layers")
    return path


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    run_program("task_report", folder, folder / "report.json", *CASES)
    return json.loads((folder / "report.json").read_text())


def share(accuracy: dict[str, int]) -> float:
    return accuracy["correct"] / accuracy["samples"]


def test_a_model_with_layers_of_the_users_own_is_quantized(report: dict[str, Any]) -> None:
    conversion = report["own layers in h5"]["conversion"]
    assert share(conversion["accuracy"]) >= share(conversion["float_accuracy"]) - 0.03


def test_a_layer_that_is_made_of_known_ones_is_trained_with_8_bits(report: dict[str, Any]) -> None:
    tuned, rounded = report["own layers"]["conversion"]["step_records"]
    assert tuned["kind"] == "tune"
    assert rounded["found"]["same_class"] > 0.95


def test_a_layer_that_cannot_be_followed_is_converted_but_not_trained(
    report: dict[str, Any],
) -> None:
    assert report["strange"]["conversion"]["recipe"] == "float32"
    failed = report["strange, trained"]
    assert "layer 'sorted' (Sorted of your own, in which layer 'tf.sort' (sort))" in failed["error"]
    assert "ptq_w8a8" in failed["hint"]


def test_layers_that_nobody_explains_are_named_with_what_to_write(report: dict[str, Any]) -> None:
    failed = report["nobody's layers"]
    assert "layer 'block' is of the class Block" in failed["error"]
    assert 'custom_objects = "module:function"' in failed["hint"]


def wish(folder: Path, body: str) -> TaskWish:
    (folder / "objects_of_mine.py").write_text(body)
    return TaskWish(custom_objects="objects_of_mine:load", folder=folder)


def test_what_is_no_dict_of_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match="returned int, expected a dict") as caught:
        custom_objects(wish(tmp_path, "def load():\n    return 3\n"))
    assert caught.value.exit_code == 4


def test_a_registered_name_is_found_with_and_without_its_package() -> None:
    layers = (
        StoredLayer("a", "Block", "my_layers"),
        StoredLayer("b", "Mine>Scale", ""),
        StoredLayer("c", "Conv2D", "keras.layers"),
    )
    block = type("Block", (), {"__module__": "my_layers"})
    own = {"Mine>Block": block, "Scale": object}
    unknown = first_unknown(layers, own, KerasNames(frozenset(), frozenset()))
    assert unknown == layers[2]


def test_an_own_name_does_not_bring_another_module() -> None:
    layers = (StoredLayer("a", "Block", "antigravity", "Other>Block"),)
    block = type("Block", (), {"__module__": "my_layers"})
    assert first_unknown(layers, {"Block": block}, KerasNames(frozenset(), frozenset()))
