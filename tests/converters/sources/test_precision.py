"""Models of other floats than float32, SavedModels of several signatures, ops that TFLite lacks."""

from __future__ import annotations

from pathlib import Path

import pytest

from converters.errors import ConversionError
from converters.request import ConversionRequest
from tests.converters.conftest import run_child
from tests.converters.warm import convert

PROGRAM = """
import sys
from pathlib import Path
import keras, numpy as np, tensorflow as tf, tf_keras
folder = Path(sys.argv[1])
random = np.random.default_rng(0)
x, y = random.normal(size=(60, 8, 8, 1)).astype("float32"), np.arange(60) % 4
np.savez(folder / "data.npz", x_train=x, y_train=y, x_test=x, y_test=y)

def model(kind):
    layers = kind.layers
    parts = [layers.Conv2D(8, 3, activation="relu"), layers.BatchNormalization(), layers.Flatten()]
    ends = [layers.Dense(4), layers.Activation("softmax", dtype="float32")]
    return kind.Sequential([kind.Input((8, 8, 1)), *parts, *ends])

for policy in ("mixed_float16", "mixed_bfloat16", "float64"):
    keras.config.set_dtype_policy(policy)
    model(keras).save(folder / f"{policy}.keras")
tf_keras.mixed_precision.set_global_policy("mixed_float16")
model(tf_keras).save(folder / "old_mixed_float16.h5")
tf_keras.mixed_precision.set_global_policy("float32")
start = tf_keras.Input((8, 8, 1))
cube = tf_keras.layers.MaxPooling3D()(tf_keras.layers.Reshape((8, 4, 2, 1))(start))
ends = tf_keras.layers.Dense(4, activation="softmax")(tf_keras.layers.Flatten()(cube))
tf_keras.Model(start, ends).save(folder / "cube.h5")

class Two(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 1))])
    def first(self, image):
        return {"scores": tf.reshape(image, (-1, 64))[:, :4]}

    @tf.function(input_signature=[tf.TensorSpec((None, 8, 8, 1))])
    def second(self, image):
        return {"scores": tf.reshape(image, (-1, 64))[:, 4:8]}

two = Two()
tf.saved_model.save(two, str(folder / "two"), {"first": two.first, "second": two.second})
"""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("precision")
    run_child("-c", PROGRAM, folder)
    return folder


@pytest.mark.parametrize(
    ("name", "recipe"),
    [
        ("mixed_float16.keras", "float32"),
        ("mixed_float16.keras", "ptq_w8a8"),
        ("mixed_bfloat16.keras", "ptq_dynamic"),
        ("float64.keras", "ptq_w8a8"),
        ("old_mixed_float16.h5", "mixed_w8a8"),
    ],
)
def test_a_model_of_other_floats_computes_in_float32(
    models: Path, tmp_path: Path, name: str, recipe: str
) -> None:
    conversion = convert(ConversionRequest(models / name, models / "data.npz", recipe, tmp_path))
    assert conversion.accuracy is not None and conversion.float_accuracy is not None
    assert abs(conversion.accuracy.correct - conversion.float_accuracy.correct) <= 6
    assert conversion.inputs[0].dtype in ("float32", "int8")


def test_an_op_that_tflite_lacks_is_named_without_a_recipe_that_lacks_it_too(
    models: Path, tmp_path: Path
) -> None:
    request = ConversionRequest(models / "cube.h5", models / "data.npz", "float32", tmp_path)
    with pytest.raises(ConversionError, match="no operator for .* MaxPool3D") as error:
        convert(request)
    assert "float32 converts" not in error.value.hint


def test_no_signature_of_several_is_taken_silently(models: Path, tmp_path: Path) -> None:
    request = ConversionRequest(models / "two", models / "data.npz", "float32", tmp_path)
    with pytest.raises(ConversionError, match="'first', 'second'") as error:
        convert(request)
    assert "serving_default" in error.value.hint
