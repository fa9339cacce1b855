"""Data without labels: the model's own answers are what the file has to keep to."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from converters.data.data_source import open_dataset
from converters.data.dataset import Dataset, InputForm, Selection
from converters.data.task import TaskWish
from converters.errors import ConversionError
from converters.evidence.conversion import Conversion
from converters.evidence.golden import read_golden
from converters.progress import ignore
from converters.request import ConversionRequest
from converters.sources.inputs_outputs import ModelTensor, sure_probabilities
from converters.tflite.run import run_model
from tests.converters import warm
from tests.converters.conftest import run_child

DISTILL = """
schema = 1
[[step]]
kind = "channels"
macs_ratio = 0.7
multiple = 4
[[step]]
kind = "distill"
epochs = 2
learning_rate = 1e-3
alpha = 1.0
[[step]]
kind = "ptq_w8a8"
"""


@pytest.fixture(scope="module")
def arrays(digits: Path) -> dict[str, np.ndarray]:
    with np.load(digits / "digits.npz") as stored:
        return dict(stored)


def converted(
    digits_request: ConversionRequest, folder: Path, arrays: dict[str, np.ndarray], **changes: Any
) -> Conversion:
    data = folder / "data.npz"
    np.savez(data, **arrays)
    return warm.convert(replace(digits_request, data=data, out=folder / "out", **changes))


def test_a_file_is_judged_by_what_the_model_answers(
    digits_request: ConversionRequest, arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    bare = {name: array for name, array in arrays.items() if name.startswith("x")}
    found = converted(digits_request, tmp_path, bare, recipe="float32")
    assert found.float_accuracy.correct == found.float_accuracy.samples == len(bare["x_test"])
    # What a file in floats answers is what the model answers.
    assert read_golden(found.golden).own_labels
    golden = read_golden(found.golden)
    (scores,) = run_model(found.model, golden.inputs).values()
    np.testing.assert_array_equal(golden.labels, scores.argmax(axis=1))
    assert any("the data has no labels" in warning for warning in found.warnings)
    assert {split.name: split.origin for split in found.splits} == {"test": "x_test, no labels"}


def test_a_budget_is_held_against_what_the_model_answers(
    digits_request: ConversionRequest, arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    bare = {name: array for name, array in arrays.items() if name.startswith("x")}
    recipe = tmp_path / "distill.toml"
    recipe.write_text(DISTILL)
    found = converted(digits_request, tmp_path, bare, recipe=str(recipe), max_drop=0.05)
    assert found.budget.held
    assert 0.95 < found.accuracy.fraction <= 1
    losses = found.step_records[1].found["losses"]
    assert losses[-1] < losses[0]


def test_labels_to_judge_by_are_enough(
    digits_request: ConversionRequest, arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    """A student learns from its teacher alone; the test figures are of the user's labels."""
    recipe = tmp_path / "distill.toml"
    recipe.write_text(DISTILL)
    del (some := dict(arrays))["y_train"]
    found = converted(digits_request, tmp_path, some, recipe=str(recipe))
    labelled = converted(digits_request, tmp_path, arrays, recipe="float32")
    assert found.float_accuracy == labelled.float_accuracy
    assert found.accuracy.fraction > found.float_accuracy.fraction - 0.05
    assert any("training samples have no labels" in warning for warning in found.warnings)
    assert not read_golden(found.golden).own_labels


def test_images_in_no_folders_of_classes_have_no_labels(
    digits_request: ConversionRequest, arrays: dict[str, np.ndarray], tmp_path: Path
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number, pixels in enumerate(arrays["x_train"][:200]):
        grey = Image.fromarray((pixels[..., 0] / arrays["x_train"].max() * 255).astype(np.uint8))
        grey.save(folder / f"{number:03}.png")
    (folder / "empty").mkdir()
    archive = shutil.make_archive(str(tmp_path / "packed"), "gztar", tmp_path, "photos")
    for data in (folder, Path(archive)):
        found = warm.convert(
            replace(digits_request, data=data, out=tmp_path / "out", image_range="0..1")
        )
        assert found.float_accuracy.fraction == 1
        assert found.accuracy.samples == 40
        # So `kedge run` takes a photo.
        card = (tmp_path / "out" / "model.toml").read_text()
        assert 'kind = "image"' in card and "scale = 0.00392156862745098" in card
        assert found.accuracy.fraction > 0.9


GRADIENTS = """
import json
import numpy as np
import tf_keras
from converters.data.dataset import Samples
from converters.graph.keras.read import read_graph
from converters.progress import ignore
from converters.prune_channels.gradients import kernel_gradients
from converters.data.task import Task

model = tf_keras.Sequential([tf_keras.layers.Input((6,)), tf_keras.layers.Dense(4, "relu"),
                             tf_keras.layers.Dense(2)])
x = np.random.default_rng(0).normal(size=(64, 6)).astype("f4")
task = Task("regression", "mse", "r2", own_answers=True)
samples = Samples(x, np.zeros(64, np.int64), task=task, targets=model.predict(x, verbose=0))
batches = kernel_gradients(read_graph(model, "m"), samples, False, 0, ignore)
print(json.dumps([np.abs(kernel).sum(axis=0).tolist()
                  for batch in batches for kernel in batch.values()]))
"""


def test_channels_are_weighed_though_the_model_is_always_right() -> None:
    """At its own answers a model has no gradient: they are drawn around them."""
    channels = json.loads(run_child("-c", GRADIENTS).splitlines()[-1])
    assert [len(of_layer) for of_layer in channels] == [4, 2]
    assert min(min(of_layer) for of_layer in channels) > 0


# Which answers are of classes.


def test_one_score_is_a_class_only_where_its_layer_says_so() -> None:
    """Numbers from 0 to 1 may be a share, a temperature or a probability."""
    one, many = (ModelTensor("output", (1,)),), (ModelTensor("output", (3,)),)
    assert sure_probabilities(True, many, None) is True
    assert sure_probabilities(True, one, None) is False

    class Layer:
        name = "last"

        def get_config(self) -> dict[str, str]:
            return {"activation": "sigmoid"}

    class Model:
        layers = (Layer(),)

    assert sure_probabilities(True, one, Model()) is True
    ends = (ModelTensor("last", (1,)), ModelTensor("other", (1,)))
    both = sure_probabilities({"last": True, "other": True}, ends, Model())
    assert both == {"last": True, "other": False}


# What data teaches.

X, X_TEST = np.zeros((20, 6)), np.ones((5, 6))


def opened(folder: Path, form: InputForm, **arrays: Any) -> Dataset | None:
    path = folder / "data.npz"
    np.savez(path, **arrays)
    return open_dataset(path, form, "0..255", 0)


def form(outputs: tuple[Any, ...] = (3,), probabilities: bool = True, **wish: Any) -> InputForm:
    return InputForm((6,), 3, outputs, TaskWish(**wish), probabilities=probabilities)


KINDS = {
    "probabilities": (form(), "classification", "accuracy"),
    "numbers": (form(probabilities=False), "regression", "r2"),
    "a picture": (form((4, 4), probabilities=False), "regression", "r2"),
    "told": (form(probabilities=False, kind="classification"), "classification", "accuracy"),
    "own metric": (
        form(probabilities=False, metric="mine:metric", higher_is_better=True),
        "regression",
        "mine:metric",
    ),
}


@pytest.mark.parametrize(("of", "kind", "metric"), KINDS.values(), ids=KINDS.keys())
def test_the_answers_tell_the_task(tmp_path: Path, of: InputForm, kind: str, metric: str) -> None:
    dataset = opened(tmp_path, of, x_train=X, x_test=X_TEST)
    assert (dataset.task.kind, dataset.task.metric) == (kind, metric)
    assert dataset.unlabelled == {"train", "test"}


def test_labels_to_judge_by_tell_the_task(tmp_path: Path) -> None:
    labels = np.arange(5) % 3
    dataset = opened(tmp_path, form(probabilities=False), x_train=X, x_test=X_TEST, y_test=labels)
    assert dataset.task.kind == "classification"
    assert dataset.unlabelled == {"train"}
    samples = dataset.read({"test": Selection("test", np.arange(5))}, ignore)["test"]
    np.testing.assert_array_equal(samples.labels, labels)


def test_what_gives_its_input_back_needs_no_answers(tmp_path: Path) -> None:
    dataset = opened(tmp_path, form((6,), False), x_train=X, x_test=X_TEST)
    assert dataset.task.kind == "reconstruction"
    assert dataset.unlabelled == frozenset()


def test_several_outputs_each_have_a_task(tmp_path: Path) -> None:
    ends = {"kind": (3,), "amount": (1,)}
    several = InputForm((6,), 2, answers=ends, probabilities={"kind": True, "amount": False})
    dataset = opened(tmp_path, several, x_train=X, x_test=X_TEST)
    assert {name: task.metric for name, task in dataset.task.parts.items()} == {
        "kind": "accuracy",
        "amount": "r2",
    }


def test_images_without_labels_serve_several_outputs(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / "data" / split).mkdir(parents=True)
        for number in range(12):
            Image.new("L", (8, 8), number).save(tmp_path / "data" / split / f"{number}.png")
    ends = {"boxes": (10, 4), "scores": (10,)}
    several = InputForm((8, 8, 1), 2, answers=ends, probabilities=dict.fromkeys(ends, False))
    dataset = open_dataset(tmp_path / "data", several, "0..1", 0)
    assert {name: task.kind for name, task in dataset.task.parts.items()} == dict.fromkeys(
        ends, "regression"
    )
    assert {split: len(labels) for split, labels in dataset.labels.items()} == {
        "train": 12,
        "test": 12,
    }


LAYOUTS = {
    "beside a folder": (
        ["a.png", "old/b.png"],
        r"1 class folders \(old\), the model distinguishes",
    ),
    "one folder": (["photos/a.png"], r"1 class folders \(photos\), the model distinguishes 3"),
    "beside classes": (["a.png", "x/b.png", "y/c.png", "z/d.png"], "a.png is in no class folder"),
}


@pytest.mark.parametrize(("names", "message"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_no_image_is_passed_over_where_it_is_not_plain_what_is_meant(
    tmp_path: Path, names: list[str], message: str
) -> None:
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8)).save(tmp_path / name)
    classifier = InputForm((8, 8, 1), 3, (3,), probabilities=True)
    with pytest.raises(ConversionError, match=message):
        open_dataset(tmp_path, classifier, "0..1", 0)


def test_images_without_labels_are_no_data_for_an_anomaly_detector(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "one.png")
    detector = InputForm((8, 8, 1), 64, (8, 8, 1), TaskWish(metric="auc"), probabilities=False)
    with pytest.raises(ConversionError, match="are no data for auc"):
        open_dataset(tmp_path, detector, "0..1", 0)


REFUSED = {
    "no y_test": (form(), {"y_train": np.arange(20) % 3}, "array y_test is missing"),
    "metric": (form(probabilities=False, metric="mae"), {}, "has no labels.*metric mae"),
    "own error": (form(probabilities=False, metric="mine:error"), {}, "has no labels.*mine:error"),
    "misspelled": (form(), {"Y_train": np.arange(20)}, "kedge does not know: Y_train"),
    "weights": (form(class_weights="balanced"), {}, "has no labels.*class_weights"),
    "a picture": (form((4, 4), kind="classification"), {}, r"gives \(4, 4\)"),
    "labels are needed": (replace(form(), probabilities=None), {}, "array y_train is missing"),
}


@pytest.mark.parametrize(("of", "more", "message"), REFUSED.values(), ids=REFUSED.keys())
def test_what_needs_labels_is_refused(
    tmp_path: Path, of: InputForm, more: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConversionError, match=message) as caught:
        opened(tmp_path, of, x_train=X, x_test=X_TEST, **more)
    assert caught.value.hint
