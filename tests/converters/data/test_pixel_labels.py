"""Masks: a class for each pixel, as numbers or one-hot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from converters.data.pixel_labels import are_masks, mask_targets
from converters.errors import ConversionError
from converters.judge.places import PlaceCounts
from converters.request import ConversionRequest
from tests.converters.conftest import run_child
from tests.converters.warm import convert

PROGRAM = """
import sys
from pathlib import Path
import keras, numpy as np
folder = Path(sys.argv[1])
keras.utils.set_random_seed(0)
random = np.random.default_rng(0)
x = random.uniform(size=(300, 8, 8, 1)).astype("float32")
three = np.where(x[..., 0] > 0.3, 1 + (np.arange(8)[:, None] > 3), 0)
for name, masks, end, loss in (
    ("three", three, keras.layers.Conv2D(3, 3, padding="same", activation="softmax"), "sparse_"),
    ("two", (three > 0).astype("int64"),
     keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid"), "binary"),
    ("logits", three, keras.layers.Conv2D(3, 3, padding="same"), "logits"),
):
    start = keras.Input((8, 8, 1))
    hidden = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(start)
    model = keras.Model(start, end(hidden))
    losses = {
        "sparse_": "sparse_categorical_crossentropy", "binary": "binary_crossentropy",
        "logits": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    }
    model.compile(keras.optimizers.Adam(0.01), losses[loss])
    model.fit(x[:200], masks[:200], epochs=10, verbose=0)
    model.save(folder / f"{name}.keras")
    arrays = {"x_train": x[:200], "x_test": x[200:]}
    np.savez(folder / f"{name}.npz", **arrays, y_train=masks[:200], y_test=masks[200:])
    one_hot = np.eye(3, dtype="float32")[masks]
    np.savez(folder / f"{name}_one_hot.npz", **arrays, y_train=one_hot[:200], y_test=one_hot[200:])
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("masks")
    run_child("-c", PROGRAM, folder)
    return folder


@pytest.mark.parametrize(
    ("name", "data", "recipe"),
    [
        ("three", "three", "ptq_w8a8"),
        ("three", "three_one_hot", "ptq_w8a8"),
        ("three", "three", "qat_w8a8"),
        ("two", "two", "qat_w8a8"),
        ("logits", "logits", "qat_w8a8"),
    ],
)
def test_masks_are_judged_pixel_by_pixel(
    models: Path, tmp_path: Path, name: str, data: str, recipe: str
) -> None:
    request = ConversionRequest(models / f"{name}.keras", models / f"{data}.npz", recipe, tmp_path)
    conversion = convert(request)
    assert conversion.metric is not None
    assert (conversion.metric.kind, conversion.metric.name) == ("segmentation", "pixel_accuracy")
    assert conversion.metric.given > 0.6
    assert conversion.metric.file > conversion.metric.given - 0.03
    assert any("mean intersection over union" in warning for warning in conversion.warnings)


MASKS = np.array([[[0, 2], [1, 1]], [[0, 0], [2, 2]]])
FORMS: dict[str, tuple[Any, tuple[int, ...], bool]] = {
    "numbers": (MASKS, (2, 2, 3), True),
    "a last axis": (MASKS[..., None], (2, 2, 3), True),
    "one-hot floats": (np.eye(3)[MASKS], (2, 2, 3), True),
    "two classes": (MASKS > 0, (2, 2, 1), True),
    "two classes as floats": ((MASKS > 0).astype(float)[..., None], (2, 2, 1), True),
    "depths": (MASKS[..., None] * 0.3, (2, 2, 1), False),
    "an image": (MASKS[..., None] * np.ones(3), (2, 2, 3), False),
    "class labels": (np.array([0, 1]), (3,), False),
}


@pytest.mark.parametrize(("array", "outputs", "are"), FORMS.values(), ids=FORMS)
def test_masks_are_told_from_other_labels(array: Any, outputs: tuple[int, ...], are: bool) -> None:
    assert are_masks(array, outputs) == are


def test_a_class_that_the_model_lacks_is_named() -> None:
    with pytest.raises(ConversionError, match="class 3 in sample 0, the model tells apart 3"):
        mask_targets(Path("d"), "y_test", MASKS + 1, (2, 2, 3))


def test_pixels_of_255_count_nowhere() -> None:
    masks = MASKS.copy()
    masks[0, 0, 0] = 255
    targets = mask_targets(Path("d"), "y_test", masks, (2, 2, 3))
    assert targets[0, 0, 0].sum() == 0
    answers = np.eye(3)[MASKS]
    answers[0, 0, 0] = (0, 1, 0)  # wrong where nothing counts
    assert PlaceCounts(targets, answers, 0.5).accuracy_of_each().tolist() == [1.0, 1.0]


def test_mean_iou_is_that_of_hand() -> None:
    answers = np.eye(3)[np.array([[[0, 2], [1, 2]], [[0, 0], [2, 2]]])]
    counts = PlaceCounts(np.eye(3)[MASKS], answers, 0.5)
    assert counts.mean_iou(slice(None)) == pytest.approx((3 / 3 + 1 / 2 + 3 / 4) / 3)
