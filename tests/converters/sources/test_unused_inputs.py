"""An input that no output depends on is named at the start, whatever the kind of the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from converters.errors import ConversionError
from converters.request import ConversionRequest
from tests.converters.conftest import run_child
from tests.converters.warm import convert

MODELS = """
import sys, keras, tf_keras
import tensorflow as tf

folder = sys.argv[1]
for kit, name in ((tf_keras, "keras2"), (keras, "keras3")):
    layers = kit.layers
    image, extra = kit.Input((4, 4, 1), name="image"), kit.Input((3,), name="extra")
    answer = layers.Dense(2, activation="softmax")(layers.Flatten()(image))
    model = kit.Model([image, extra], answer)
    model.save(f"{folder}/{name}.keras")
    smaller = kit.Model([x for x in model.inputs if x.name not in ["extra"]], model.outputs)
    smaller.save(f"{folder}/{name}_smaller.keras")
model.export(f"{folder}/graph")
convert = tf.lite.TFLiteConverter.from_saved_model(f"{folder}/graph")
open(f"{folder}/float.tflite", "wb").write(convert.convert())
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    run_child("-c", MODELS, folder)
    random = np.random.default_rng(0)
    image, label = random.normal(0, 1, (80, 4, 4, 1)).astype("f4"), np.arange(80) % 2
    extra = np.zeros((80, 3), "f4")
    arrays = {"x_train.image": image, "x_test.image": image, "y_train": label, "y_test": label}
    np.savez(folder / "smaller.npz", x_train=image, x_test=image, y_train=label, y_test=label)
    np.savez(folder / "data.npz", **arrays, **{"x_train.extra": extra, "x_test.extra": extra})
    return folder


@pytest.mark.parametrize(
    ("model", "recipe"),
    [
        ("keras2.keras", "ptq_w8a8"),
        ("keras2.keras", "mixed_w8a8"),
        ("keras2.keras", "qat_w8a8"),
        ("keras3.keras", "qat_w8a8"),
        ("graph", "ptq_w8a8"),
        ("float.tflite", "ptq_w8a16"),
    ],
)
def test_it_is_named_before_anything_is_made(
    models: Path, tmp_path: Path, model: str, recipe: str
) -> None:
    request = ConversionRequest(models / model, models / "data.npz", recipe, tmp_path / "out")
    stages: list[str] = []
    with pytest.raises(ConversionError, match="its input '.*extra.*' is not used") as caught:
        convert(request, lambda progress: stages.append(progress.stage))
    assert set(stages) <= {"load TensorFlow", "load model", "read data"}
    assert "Remove it" in caught.value.hint
    assert "mixed_w8a8" not in caught.value.hint


def test_a_file_of_float_inputs_is_made_with_a_note(models: Path, tmp_path: Path) -> None:
    request = ConversionRequest(
        models / "keras2.keras", models / "data.npz", "float32", tmp_path / "out"
    )
    assert any("'extra' is not used" in warning for warning in convert(request).warnings)


@pytest.mark.parametrize("name", ["keras2", "keras3"])
def test_what_the_hint_says_helps(models: Path, tmp_path: Path, name: str) -> None:
    model = models / f"{name}_smaller.keras"
    request = ConversionRequest(model, models / "smaller.npz", "ptq_w8a8", tmp_path / "out")
    assert not any("not used" in warning for warning in convert(request).warnings)
