"""Run as a program in a process of its own: writes small models of every kind into a folder.

python -m tests.converters.programs.model_zoo FOLDER DIGITS_NPZ
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import keras as keras3
import numpy as np
import tensorflow as tf
import tf_keras


def classifier(keras: Any, outputs: Any = 10, **last: Any) -> Any:
    inputs = keras.Input((8, 8, 1))
    x = keras.layers.Conv2D(8, 3, activation="relu")(inputs)
    x = keras.layers.Flatten()(x)
    return keras.Model(inputs, keras.layers.Dense(outputs, **last)(x))


def around(keras: Any, layer: Any) -> Any:
    """A classifier with `layer` at its beginning."""
    layers = keras.layers
    return keras.Sequential([keras.Input((8, 8, 1)), layer, layers.Flatten(), layers.Dense(10)])


class Doubling(tf_keras.layers.Layer):
    def call(self, x: np.ndarray) -> Any:
        return x * 2


class Doubling3(keras3.layers.Layer):
    def call(self, x: np.ndarray) -> Any:
        return x * 2


def trained(model: Any, data: Any, epochs: int = 6) -> Any:
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(data["x_train"], data["y_train"], epochs=epochs, verbose=0)
    return model


def write_good(folder: Path, data: Any) -> None:
    model = trained(classifier(keras3, activation="softmax"), data)
    model.save(folder / "keras3.keras")
    model.save(folder / "keras3.h5")
    keras3.Sequential(model.layers).save(folder / "keras3_sequential.keras")
    model.export(folder / "keras3_export", verbose=False)
    model = trained(classifier(tf_keras, activation="softmax"), data)
    model.save(folder / "keras2.h5")
    model.save(folder / "keras2_saved")
    logits = classifier(tf_keras)
    logits.set_weights(model.get_weights())
    logits.save(folder / "logits.h5")
    odd = data["y_train"] % 2
    binary = classifier(tf_keras, 1, activation="sigmoid")
    binary.compile("adam", "binary_crossentropy")
    binary.fit(data["x_train"], odd, epochs=12, verbose=0)
    binary.save(folder / "odd_or_even.h5")
    np.savez(
        folder / "odd_or_even.npz",
        **{name: x % 2 if name.startswith("y") else x for name, x in data.items()},
    )


def write_refused(folder: Path) -> None:
    double = tf_keras.layers.Lambda(lambda x: x * 2, name="twice")
    around(tf_keras, double).save(folder / "lambda.h5")
    around(tf_keras, tf_keras.layers.Lambda(lambda x: x * 2, name="twice")).save(
        folder / "lambda.keras"
    )
    around(keras3, keras3.layers.Lambda(lambda x: x * 2, name="twice")).save(
        folder / "lambda3.keras"
    )
    around(tf_keras, tf_keras.layers.Lambda(lambda x: x * 2, name="twice")).save(
        folder / "lambda_saved"
    )
    around(tf_keras, Doubling(name="mine")).save(folder / "custom_saved")
    around(tf_keras, Doubling(name="mine")).save(folder / "custom.h5")
    around(tf_keras, Doubling(name="mine")).save(folder / "custom.keras")
    around(keras3, Doubling3(name="mine")).save(folder / "custom3.keras")

    layers = tf_keras.layers
    inputs = tf_keras.Input((None, None, 1))
    x = layers.GlobalAveragePooling2D()(inputs)
    tf_keras.Model(inputs, layers.Dense(10)(x)).save(folder / "dynamic.h5")
    inputs = tf_keras.Input((8, 8, 1))
    tf_keras.Model(inputs, layers.Conv2D(3, 3)(inputs)).save(folder / "picture_out.h5")
    classifier(tf_keras).save_weights(folder / "only_weights.h5")


def write_hard_to_train(folder: Path) -> None:
    layers = tf_keras.layers
    inputs = tf_keras.Input((8, 8, 1))
    backbone = tf_keras.Sequential([tf_keras.Input((8, 8, 1)), layers.Conv2D(4, 3)], name="spine")
    x = layers.Flatten()(backbone(inputs))
    tf_keras.Model(inputs, layers.Dense(10)(x)).save(folder / "nested.h5")
    inputs = tf_keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, activation="relu")(inputs)
    x = layers.Flatten()(layers.BatchNormalization(name="late_norm")(x))
    tf_keras.Model(inputs, layers.Dense(10)(x)).save(folder / "late_norm.h5")
    around(tf_keras, layers.Activation("softplus", name="odd")).save(folder / "softplus.h5")
    around(tf_keras, layers.LayerNormalization(name="odd")).save(folder / "layer_norm.h5")


def write_dynamic_convolutions(folder: Path) -> None:
    """A convolution and a depthwise one of channels that differ in range, dynamic-range."""
    random = np.random.default_rng(1)
    layers = tf_keras.layers
    image = (8, 8, 64)
    for name, layer in (
        ("conv", layers.Conv2D(32, 3)),
        ("depthwise", layers.DepthwiseConv2D(5, padding="same")),
    ):
        model = tf_keras.Sequential([tf_keras.Input(image), layer])
        kernel, bias = layer.get_weights()
        channels = kernel.shape[-2:] if name == "depthwise" else kernel.shape[-1:]
        layer.set_weights([kernel * np.exp(random.uniform(-4, 1, channels)), bias])
        converter = tf.lite.TFLiteConverter.from_keras_model(model)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        (folder / f"{name}_dynamic.tflite").write_bytes(converter.convert())
        x = random.normal(0, 1, (20, *image)).astype(np.float32)
        np.savez(folder / f"{name}.npz", x=x, y=np.asarray(model(x)))


def write_tflite(folder: Path) -> None:
    """A wide Dense net whose channels differ in range, int8 and dynamic-range."""
    random = np.random.default_rng(0)
    layers = tf_keras.layers
    model = tf_keras.Sequential(
        [tf_keras.Input((64,)), layers.Dense(512, activation="relu"), layers.Dense(100)]
    )
    for layer in model.layers:
        kernel, bias = layer.get_weights()
        spread = np.exp(random.uniform(-4, 1, (1, kernel.shape[1])))
        layer.set_weights([kernel * spread, random.normal(0, 0.1, bias.shape)])
    x = random.normal(0, 1, (300, 64)).astype(np.float32)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    (folder / "dense_dynamic.tflite").write_bytes(converter.convert())
    converter.representative_dataset = lambda: ([row[None]] for row in x)
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    (folder / "dense_int8.tflite").write_bytes(converter.convert())
    np.savez(folder / "dense.npz", x=x, y=np.asarray(model(x)))


def main() -> None:
    folder = Path(sys.argv[1])
    tf_keras.utils.set_random_seed(1)
    keras3.utils.set_random_seed(1)
    with np.load(sys.argv[2]) as data:
        write_good(folder, dict(data))
    write_refused(folder)
    write_hard_to_train(folder)
    write_tflite(folder)
    write_dynamic_convolutions(folder)


if __name__ == "__main__":
    main()
