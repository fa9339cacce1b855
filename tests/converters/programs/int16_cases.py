"""Run as a program in a process of its own: writes what 16-bit activations are tried on.

python -m tests.converters.programs.int16_cases FOLDER DIGITS_NPZ
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import numpy as np
import tensorflow as tf
import tf_keras

from converters.data.dataset import Samples
from converters.progress import ignore
from converters.quantize.calibrate import MINMAX, measure_ranges
from converters.quantize.edge_quantizer import add_int16_layers
from converters.quantize.integer_file import int8_file
from converters.tflite.unpacked import UnpackedModel

layers = tf_keras.layers


def write_wide_activations(folder: Path, data: Any) -> None:
    """A Dense layer one of whose outputs is always 5,000 and never used; the others are small."""
    inputs = tf_keras.Input((8, 8, 1))
    x = layers.Flatten()(inputs)
    x = layers.Dense(48, activation="relu", name="wide")(x)
    x = layers.Dense(32, activation="relu", name="behind")(x)
    model = tf_keras.Model(inputs, layers.Dense(10, activation="softmax", name="last")(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(data["x_train"], data["y_train"], epochs=15, verbose=0)
    (kernel, bias), (behind, behind_bias) = (
        model.get_layer(name).get_weights() for name in ("wide", "behind")
    )
    kernel[:, 0], bias[0], behind[0] = 0.0, 5000.0, 0.0
    model.get_layer("wide").set_weights([kernel, bias])
    model.get_layer("behind").set_weights([behind, behind_bias])
    model.save(folder / "wide_activations.h5")


def every_kind() -> Any:
    inputs = tf_keras.Input((8, 8, 4))
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(inputs)
    gate = layers.Conv2D(8, 1, activation="sigmoid")(x)
    y = layers.DepthwiseConv2D(3)(layers.ZeroPadding2D()(x))
    x = layers.Concatenate()([layers.Add()([x, y]), layers.Multiply()([y, gate])])
    x = layers.Maximum()([x, layers.Subtract()([x, layers.Conv2D(16, 1)(x)])])
    x = layers.UpSampling2D()(layers.Permute((2, 1, 3))(layers.MaxPooling2D()(x)))
    x = layers.AveragePooling2D()(x)
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.Flatten()(x)])
    x = layers.Dense(6)(layers.Dense(8, activation="tanh")(x))
    return tf_keras.Model(inputs, layers.Softmax()(x))


def write_int16_everywhere(folder: Path) -> None:
    """Numbers of 8 bits at both ends, and 16-bit activations in layers of every kind."""
    model = every_kind()
    call = tf.function(lambda x: model(x, training=False))
    function = call.get_concrete_function(tf.TensorSpec((1, 8, 8, 4)))
    content = tf.lite.TFLiteConverter.from_concrete_functions([function], model).convert()
    x = np.random.default_rng(0).normal(size=(64, 8, 8, 4)).astype(np.float32)
    samples = Samples(x, np.zeros(64, np.int64))
    ranges = measure_ranges(content, samples, MINMAX, 100.0, ignore)
    names = {UnpackedModel(content).name(tensor): bounds for tensor, bounds in ranges.items()}
    in_floats = int8_file(content, ranges, "int8", names)
    made, done = add_int16_layers(in_floats, tuple(names), names)
    (folder / "every_kind.tflite").write_bytes(made)
    y = model.predict(x, verbose=0)
    np.savez(folder / "every_kind.npz", x=x, y=y, done=done)


def main() -> None:
    folder = Path(sys.argv[1])
    tf_keras.utils.set_random_seed(1)
    write_int16_everywhere(folder)
    with np.load(sys.argv[2]) as arrays:
        write_wide_activations(folder, dict(arrays))


if __name__ == "__main__":
    main()
