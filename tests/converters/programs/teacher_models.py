"""Writes models that could teach the digits model, and some that could not.

Usage: python -m tests.converters.programs.teacher_models DIGITS_MODEL FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras


def main() -> None:
    digits, folder = Path(sys.argv[1]), Path(sys.argv[2])

    def changed(name: str, change: Any) -> None:
        model = tf_keras.models.load_model(digits, compile=False)
        weights = model.get_weights()
        change(weights)
        model.set_weights(weights)
        model.save(folder / name)

    def for_0_to_1(weights: Any) -> None:
        weights[0] *= 16

    def other_order(weights: Any) -> None:
        weights[-2], weights[-1] = np.roll(weights[-2], 1, axis=1), np.roll(weights[-1], 1)

    changed("same.h5", lambda weights: None)
    changed("other.keras", lambda weights: np.multiply(weights[-2], 0.9, out=weights[-2]))
    changed("for_0_to_1.keras", for_0_to_1)
    changed("other_order.keras", other_order)
    layers = tf_keras.layers
    for name, classes in (("seven_classes.keras", 7),):
        inputs = layers.Input((8, 8, 1))
        outputs = layers.Dense(classes, activation="softmax")(layers.Flatten()(inputs))
        tf_keras.Model(inputs, outputs).save(folder / name)


if __name__ == "__main__":
    main()
