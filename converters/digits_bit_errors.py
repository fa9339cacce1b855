"""Trains a network that loses accuracy by post-training quantization, and none by training.

    python -m converters.digits_bit_errors --out DIR

writes DIR/digits.keras and DIR/digits.npz, the model and the data of `kedge demo`. The images are
those of `converters.digits_cnn`, with a fault that real sensors and buses have: in one image of
300, a bit of one pixel flipped, so that it has the value 4,096 instead of 0 to 16. The network
learned to live with it: the faults cost it no accuracy in float32.

Post-training quantization measures the lowest and the highest number of each tensor, faults
included. 256 steps for 4,096 are 16 a step: of an image without a fault, two shades are left.
Quantization-aware training averages the extremes over its batches, of which few have a fault. Its
steps are about a tenth as large, and the network learns to answer with them. A recipe of one's own
with `calibration = "percentile"` is another remedy, if one knows that the faults are there.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from converters.digits_cnn import digits, fit_digits, write_pair

#: Passes over the training images and their shifted copies; half a second each on two cores.
EPOCHS, BATCH_SIZE = 10, 64
#: Learning rate at first; it falls to 0 along a cosine.
_LEARNING_RATE = 3e-3
#: Value of a pixel with a flipped bit; the others have 0 to 16.
FLIPPED = 4096.0
#: Number of images of which one has a fault.
IMAGES_PER_FAULT = 300
#: Seed of the places of the faults.
_SEED = 0
#: Shifts of the copies, in pixels: down and to the right.
_SHIFTS = ((0, 0), (0, 1), (0, -1), (1, 0), (-1, 0))


def main() -> None:
    """Train, and write the model and the data whole or not at all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="folder; made if absent")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    options = parser.parse_args()
    # TensorFlow reads it at its first import.
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    data = faulty_digits()
    write_pair(options.out, data, lambda path: _train(data, path, options.seed))


def faulty_digits() -> dict[str, Any]:
    """The images and their labels, a pixel flipped in one image of `IMAGES_PER_FAULT`.

    Returns:
        x_train and x_test: float32, shape (n, 8, 8, 1), 0-16 and `FLIPPED`; y_train and y_test:
        int64, (n,).
    """
    random = np.random.default_rng(_SEED)
    data = digits()
    for name in ("x_train", "x_test"):
        images = data[name]
        count = len(images) // IMAGES_PER_FAULT
        rows = random.choice(len(images), count, replace=False)
        places = random.integers(0, images.shape[1], (2, count))
        images[rows, places[0], places[1]] = FLIPPED
    return data


def _train(data: dict[str, Any], path: Path, seed: int) -> float:
    """Train the network and save it; return its accuracy on the held-out images, 0-1."""
    import tf_keras as keras

    keras.utils.set_random_seed(seed)
    layers = keras.layers
    # Without BatchNormalization, whose statistics one fault in a batch would spoil.
    model = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )
    images, labels = shifted_copies(data["x_train"], data["y_train"])
    steps = EPOCHS * -(-len(images) // BATCH_SIZE)
    rate = keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, steps)
    # The gradient of a batch with a fault is thousands of times as large as the others.
    model.compile(
        keras.optimizers.Adam(rate, clipnorm=1.0),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    fit_digits(model, images, labels, EPOCHS, BATCH_SIZE)
    model.save(path)
    return float(model.evaluate(data["x_test"], data["y_test"], verbose=0)[1])


def shifted_copies(
    images: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """The images, and copies that are shifted by a pixel in each direction.

    Args:
        images: float32, shape (n, height, width, 1).
        labels: int64, shape (n,).

    Returns:
        Images, float32, shape (5 n, height, width, 1), with 0 where nothing was, and their labels.
    """
    height, width = images.shape[1:3]
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    copies = [
        padded[:, 1 - down : 1 - down + height, 1 - right : 1 - right + width]
        for down, right in _SHIFTS
    ]
    return np.concatenate(copies), np.tile(labels, len(copies))


if __name__ == "__main__":
    main()
