from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.data.data_source import open_dataset
from converters.data.data_warnings import data_warnings
from converters.data.dataset import Dataset, InputForm, Selection
from converters.data.fields import to_keras_inputs
from converters.data.names import plain_names
from converters.data.several_data import combine_labels
from converters.data.task import TaskError, TaskWish, parse_task
from converters.errors import ConversionError
from converters.evidence.conversion import read_conversion
from converters.judge.paired import Drop, worst
from converters.progress import ignore
from converters.quantize.calibrate import calibration_warnings
from tests.converters.conftest import run_program

INPUTS = [["picture", [1, 8, 8, 1]], ["numbers", [1, 4]]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("several")
    run_program("several_models", path)
    return path


@pytest.fixture(scope="module")
def report(folder: Path) -> dict:
    path = folder / "report.json"
    run_program("several_report", folder, path)
    return json.loads(path.read_text())


def ends(conversion: dict[str, Any], side: str) -> list[list[Any]]:
    return sorted([spec["name"], spec["shape"]] for spec in conversion[side])


def figures(report: dict[str, Any], name: str) -> dict[str, dict[str, Any]]:
    return {one["output"]: one for one in report[name]["conversion"]["output_figures"]}


OF_ALL = ("keras2", "hdf5", "keras3", "graph", "tflite", "stored", "function", "made", "told")


@pytest.mark.parametrize("name", OF_ALL)
def test_a_model_of_any_form_keeps_the_names_of_its_inputs_and_outputs(
    report: dict[str, Any], name: str
) -> None:
    conversion = report[name]["conversion"]
    assert ends(conversion, "inputs") == sorted(INPUTS)
    assert ends(conversion, "outputs") == [["amount", [1, 1]], ["kind", [1, 3]]]
    assert report[name]["golden"] == {"picture": [600, 8, 8, 1], "numbers": [600, 4]}
    assert report[name]["labels"] == ["kind"]
    card = report[name]["card"]
    assert "[inputs.picture]" in card and "[inputs.numbers]" in card
    of_amount, of_kind = card.index("[outputs.amount]"), card.index("[outputs.kind]")
    assert of_amount < card.index('task = "regression"') < of_kind
    assert of_kind < card.index('task = "classification"')


@pytest.mark.parametrize("name", OF_ALL)
def test_each_output_is_judged_by_what_it_is(report: dict[str, Any], name: str) -> None:
    found = figures(report, name)
    # Of three classes; what always answers the mean is off by 17.
    assert found["kind"]["name"] == "accuracy" and found["kind"]["file"] > 0.9
    assert found["amount"]["kind"] == "regression"
    if name == "told":
        assert found["amount"]["name"] == "r2" and found["amount"]["file"] > 0.7
    else:
        assert found["amount"]["name"] == "mae" and found["amount"]["file"] < 6
    conversion = report[name]["conversion"]
    assert conversion["accuracy"] is None and conversion["metric"] is None
    assert {(drop["split"], drop["output"]) for drop in conversion["drops"]} >= {
        ("test", "kind"), ("test", "amount"),
    }  # fmt: skip


def test_several_inputs_with_one_output_are_a_plain_classifier(report: dict[str, Any]) -> None:
    conversion = report["inputs"]["conversion"]
    assert ends(conversion, "inputs") == sorted(INPUTS)
    assert conversion["accuracy"]["correct"] > 0.9 * 600
    assert conversion["output_figures"] == []
    assert conversion["step_records"][1]["found"]["same_class"] > 0.99


def test_channels_go_a_teacher_teaches_and_a_budget_holds_for_the_worst_output(
    report: dict[str, Any],
) -> None:
    conversion = report["made"]["conversion"]
    channels, distilled, quantized = conversion["step_records"]
    assert channels["found"]["macs"][1] < 0.6 * channels["found"]["macs"][0]
    assert distilled["found"]["losses"][-1] < distilled["found"]["losses"][0]
    assert quantized["found"]["same_class"] > 0.95
    (attempt,) = conversion["attempts"]
    of_validation = [d for d in conversion["drops"] if d["split"] == "validation"]
    assert attempt["drop"]["output"] in {drop["output"] for drop in of_validation}
    assert conversion["budget"]["held"]


def test_without_labels_each_output_is_held_to_the_models_own_answers(
    report: dict[str, Any],
) -> None:
    found = figures(report, "unlabelled")
    assert {name: (one["name"], one["given"]) for name, one in found.items()} == {
        "kind": ("accuracy", 1.0),
        "amount": ("r2", 1.0),
    }
    assert min(one["file"] for one in found.values()) > 0.9
    assert report["unlabelled"]["labels"] == ["kind"]


def test_improvements_prove_themselves_on_all_outputs(report: dict[str, Any]) -> None:
    *_, quantized = report["told"]["conversion"]["step_records"]
    before, after = quantized["found"]["bias_correction"]["sqnr_db"]
    assert after > before or not quantized["found"]["bias_correction"]["kept"]


REFUSED = {
    "augmented": ["augment is 'flip'", "'picture', 'numbers'"],
    "features": ["features is 'attention'", "'kind', 'amount'"],
    "other": ["[task.outputs.colour]", "'kind', 'amount'"],
    "of all": ["[task] says metric", "[task.outputs.kind]"],
    "images": ["holds images", "'picture', 'numbers'", "x_train.picture"],
}


@pytest.mark.parametrize(("name", "words"), REFUSED.items(), ids=REFUSED.keys())
def test_what_does_not_go_with_several_is_refused_before_the_work(
    report: dict[str, Any], name: str, words: list[str]
) -> None:
    for word in words:
        assert word in report[name]["error"] + report[name]["hint"]


def test_a_conversion_of_several_outputs_is_read_again(
    report: dict[str, Any], folder: Path
) -> None:
    read = read_conversion(folder / "out" / "keras2")
    assert [one.output for one in read.output_figures] == ["kind", "amount"]
    assert worst(read.drops, "test").fraction == max(drop.fraction for drop in read.drops)


# Data by name.

FORM = InputForm((), 2, None, inputs={"b": (3,), "a": (2, 2)}, answers={"z": (4,), "y": (2,)})


def arrays(**changed: Any) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    good = {}
    for split, count in (("train", 40), ("test", 20)):
        # The other way round than the model has them.
        good[f"x_{split}.a"] = random.integers(0, 255, (count, 2, 2)).astype("u1")
        good[f"x_{split}.b"] = random.normal(size=(count, 3))
        good[f"y_{split}.y"] = random.normal(size=(count, 2)) * 100
        good[f"y_{split}.z"] = np.arange(count) % 4
    return {name: x for name, x in {**good, **changed}.items() if x is not None}


def opened(tmp_path: Path, form: InputForm = FORM, **changed: Any) -> Dataset | None:
    path = tmp_path / "data.npz"
    np.savez(path, **arrays(**changed))
    return open_dataset(path, form, "0..255", 0)


def test_samples_are_matched_by_name_whatever_their_order(tmp_path: Path) -> None:
    dataset = opened(tmp_path)
    rows = np.array([4, 9])
    samples = dataset.read({"some": Selection("train", rows)}, ignore)["some"]
    b, a = to_keras_inputs(samples.batch(slice(None)))
    np.testing.assert_array_equal(a, arrays()["x_train.a"][rows].astype("f4"))
    np.testing.assert_array_equal(b, arrays()["x_train.b"][rows].astype("f4"))
    parts = samples.by_output()
    assert list(parts) == ["z", "y"]
    np.testing.assert_array_equal(parts["z"].labels, rows % 4)
    assert parts["z"].task.is_classification
    assert parts["y"].task.kind == "regression"
    np.testing.assert_allclose(parts["y"].targets, arrays()["y_train.y"][rows], rtol=1e-6)


def test_pixels_stay_bytes_in_memory(tmp_path: Path) -> None:
    samples = opened(tmp_path).read({"s": Selection("test", np.arange(20))}, ignore)["s"]
    assert samples.stored.dtype["a"].base == np.uint8


WRONG = {
    "missing": ({"x_test.a": None}, r"x_test\.a missing: the model has the inputs 'b', 'a' and the "
                                    r"outputs 'z', 'y', the arrays of the data are x_train\.a"),
    "more": ({"x_train.c": np.zeros((40, 1))}, r"x_train\.c not expected: the model has"),
    "by position": ({"x_train": np.zeros((40, 3))}, "x_train not expected"),
    "counts": ({"x_train.a": np.zeros((39, 2, 2))}, r"x_train\.b has 40, x_train\.a has 39"),
    "shape": ({"x_test.b": np.zeros((20, 4))}, r"x_test\.b has the shape \(20, 4\)"),
    "nan": ({"x_test.b": np.full((20, 3), np.nan)}, r"x_test\.b has NaN"),
    "class": ({"y_train.z": np.arange(40) % 5}, r"y_train\.z has the label 4"),
    "labels": ({"y_test.y": np.zeros((19, 2))}, r"x_test has 20 samples, y_test\.y has 19"),
}  # fmt: skip


@pytest.mark.parametrize(("changed", "message"), WRONG.values(), ids=WRONG.keys())
def test_wrong_arrays_are_named_with_all_names(
    tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConversionError, match=message):
        opened(tmp_path, **changed)


def test_losses_of_numbers_are_brought_to_the_size_of_those_of_classes(tmp_path: Path) -> None:
    parts = opened(tmp_path).task.parts
    spread = arrays()["y_train.y"].std()
    assert parts["y"].weight == pytest.approx(1 / spread**2, rel=1e-4)
    assert parts["z"].weight == 1


def test_samples_are_divided_by_the_combination_of_classes() -> None:
    first, second = np.arange(120) % 2, np.arange(120) // 2 % 3
    assert len(set(combine_labels({"first": first, "second": second}).tolist())) == 6
    rare = np.arange(120)
    np.testing.assert_array_equal(combine_labels({"first": first, "rare": rare}), first)


def test_the_worst_output_is_the_one_that_loses_most() -> None:
    drops = [
        Drop("test", 100, 3, 1, (0, 0.05), output="kind"),
        Drop("test", 100, 50, 40, (0, 0.1), "mae", 1.0, 1.04, False, "amount"),
        Drop("validation", 100, 9, 0, (0, 0.2), output="kind"),
    ]
    assert worst(drops, "test").output == "amount"
    assert worst(drops).fraction == 0.09


def test_names_are_stable_whatever_made_them() -> None:
    assert plain_names(["serving_default_left:0", "right"], "input") == ("left", "right")
    assert plain_names(["a/b", "a b"], "input") == ("a_b", "a_b_1")
    assert plain_names(["whatever"], "input") == ("input",)


def test_a_recipe_may_describe_each_output(tmp_path: Path) -> None:
    table = {"custom_objects": "mine:own", "outputs": {"y": {"metric": "r2", "loss": "mae"}}}
    wish = parse_task(table, "recipe", tmp_path)
    assert wish.for_output("y").task("regression").metric == "r2"
    assert wish.for_output("z") == TaskWish(folder=tmp_path)
    wish.check_outputs(["y", "z"])
    with pytest.raises(TaskError, match="is about no output of the model; it has one"):
        wish.check_outputs([])
    with pytest.raises(TaskError, match=r"field 'colour' is unknown"):
        parse_task({"outputs": {"y": {"colour": "red"}}}, "recipe", tmp_path)
    with pytest.raises(TaskError, match="kind reconstruction, which one of several"):
        parse_task({"outputs": {"y": {"kind": "reconstruction"}}}, "recipe", tmp_path)


def test_missing_classes_are_told_of_each_output(tmp_path: Path) -> None:
    few = {"y_train.z": np.arange(40) % 3, "y_test.z": np.arange(20) % 3}
    dataset = opened(tmp_path, **few)
    rows = {use: Selection(use, np.arange(20)) for use in ("train", "test")}
    samples = dataset.read(rows, ignore)
    classes = {"z": 4, "y": 2}
    told = data_warnings(dataset, samples, classes)
    assert len(told) == 2
    assert all("1 of 4 classes of the output 'z' have no" in warning for warning in told)
    (warning,) = calibration_warnings(samples["train"], 20, classes)
    assert "1 of 4 classes of the output 'z' are missing" in warning
