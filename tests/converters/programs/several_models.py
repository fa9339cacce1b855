"""Writes trained models of several inputs and outputs, and their data: several_models.py FOLDER"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
import tf_keras

CLASSES = 3


def samples(count: int, seed: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Pictures of a row, a column or a diagonal; the answers need the numbers beside them too."""
    random = np.random.default_rng(seed)
    shape, extra = random.integers(0, CLASSES, count), random.normal(0, 1, (count, 4))
    picture = random.normal(0, 0.3, (count, 8, 8, 1))
    picture[shape == 0, 3] += 1
    picture[shape == 1, :, 3] += 1
    picture[shape == 2] += np.eye(8)[..., None]
    # Two kinds look alike: only the first number tells them apart.
    kind = np.where((shape == 2) & (extra[:, 0] > 0), 1, shape)
    amount = 50 + 20 * (extra[:, 1] + 0.5 * (shape == 1))
    inputs = {"picture": picture.astype("f4"), "numbers": extra.astype("f4")}
    return inputs, {"kind": kind, "amount": amount.astype("f4")}


def model(kit: Any) -> Any:
    """A small net of two inputs and two outputs: of Keras 2 made with lists, of 3 with dicts."""
    layers = kit.layers
    picture, numbers = kit.Input((8, 8, 1), name="picture"), kit.Input((4,), name="numbers")
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="conv_1")(picture)
    x = layers.Conv2D(16, 3, strides=2, activation="relu", name="conv_2")(x)
    x = layers.Flatten(name="flat")(x)
    both = layers.Concatenate(name="both")(
        [x, layers.Dense(16, "relu", name="from_numbers")(numbers)]
    )
    both = layers.Dense(32, "relu", name="mixed")(both)
    kind = layers.Dense(CLASSES, "softmax", name="kind")(both)
    amount = layers.Dense(1, name="amount")(both)
    if kit is keras:
        return kit.Model({"picture": picture, "numbers": numbers}, {"kind": kind, "amount": amount})
    return kit.Model([picture, numbers], [kind, amount])


def trained(kit: Any, x: dict[str, Any], y: dict[str, Any]) -> Any:
    """The net after a few epochs."""
    made = model(kit)
    made.compile(
        kit.optimizers.Adam(3e-3),
        {"kind": "sparse_categorical_crossentropy", "amount": "mse"},
        loss_weights={"kind": 1.0, "amount": 0.003},
    )
    made.fit(x, y, epochs=12, verbose=0)
    return made


def main(folder: Path) -> None:
    """All of them."""
    for kit in (tf_keras, keras):
        kit.utils.set_random_seed(0)
    (x, y), (x_test, y_test) = samples(600, 0), samples(600, 1)
    named = {f"x_train.{name}": array for name, array in x.items()}
    named |= {f"x_test.{name}": array for name, array in x_test.items()}
    answers = {f"y_train.{name}": array for name, array in y.items()}
    answers |= {f"y_test.{name}": array for name, array in y_test.items()}
    np.savez(folder / "both.npz", **named, **answers)
    np.savez(folder / "unlabelled.npz", **named)
    np.savez(folder / "inputs.npz", **named, y_train=y["kind"], y_test=y_test["kind"])
    both = trained(tf_keras, x, y)
    both.save(folder / "both.keras")
    both.save(folder / "both.h5")
    tf_keras.Model(both.inputs, both.outputs[0]).save(folder / "inputs.keras")
    # The same with everything in another order.
    tf_keras.Model(both.inputs[::-1], both.outputs[::-1]).save(folder / "turned.keras")
    trained(keras, x, y).save(folder / "keras3.keras")
    function = tf.function(
        lambda **x: dict(zip(("kind", "amount"), both([x["picture"], x["numbers"]]), strict=True))
    ).get_concrete_function(
        picture=tf.TensorSpec((1, 8, 8, 1), tf.float32, name="picture"),
        numbers=tf.TensorSpec((1, 4), tf.float32, name="numbers"),
    )
    tf.saved_model.save(both, str(folder / "graph"), {"serving_default": function})
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / "graph"))
    (folder / "float.tflite").write_bytes(converter.convert())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
