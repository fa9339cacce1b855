"""Trains a small convolutional network on real images that arrive with scikit-learn.

    python -m converters.digits_cnn --out DIR

writes DIR/digits.keras and DIR/digits.npz: a model and its data, ready for `kedge convert`.
The images are 1,797 handwritten digits of 8x8 pixels with values from 0 to 16 (UCI "Optical
Recognition of Handwritten Digits", Alpaydin and Kaynak, 1998).
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from converters import durable
from converters.data.split import held_out_split

MODEL_NAME = "digits.keras"
DATA_NAME = "digits.npz"
#: Enough for 98 % on the held-out images; a second an epoch on two cores.
EPOCHS = 20
BATCH_SIZE = 32
SEED = 0
#: Number of epochs from one line of progress to the next.
_REPORTED = 5


def main() -> None:
    """Train, and write the model and the data whole or not at all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="folder; made if absent")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    options = parser.parse_args()
    # TensorFlow reads it at its first import.
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    data = digits()
    write_pair(options.out, data, lambda path: train_digits(data, path, options.epochs))


def write_pair(out: Path, data: dict[str, Any], train: Callable[[Path], float]) -> None:
    """Write a model and its data whole or not at all.

    Args:
        out: Folder to write to; made if absent.
        data: Arrays of the .npz file.
        train: Function that trains the model, saves it as the .keras file that it gets, and returns
            the accuracy on the held-out images, 0-1.
    """
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".kedge-", dir=out) as folder:
        work = Path(folder)
        accuracy = train(work / MODEL_NAME)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **data)
        durable.write(work / DATA_NAME, buffer.getvalue())
        durable.publish(work, out, (DATA_NAME, MODEL_NAME))
    _say(f"wrote {MODEL_NAME} and {DATA_NAME}: accuracy {accuracy:.2%} on the held-out images")


def digits() -> dict[str, Any]:
    """The images and their labels, a fifth of each class held out.

    Returns:
        x_train and x_test: float32, shape (n, 8, 8, 1), 0-16; y_train and y_test: int64, (n,).
    """
    from sklearn.datasets import load_digits

    loaded = load_digits()
    images = loaded.images.astype(np.float32)[..., np.newaxis]
    labels = loaded.target.astype(np.int64)
    train_rows, test_rows = held_out_split(labels, SEED)
    return {
        "x_train": images[train_rows],
        "y_train": labels[train_rows],
        "x_test": images[test_rows],
        "y_test": labels[test_rows],
    }


def train_digits(data: dict[str, Any], path: Path, epochs: int) -> float:
    """Train the network and save it.

    Args:
        data: Arrays that `digits` returns.
        path: The .keras file to write.
        epochs: Passes over the training images.

    Returns:
        Accuracy on the held-out images, 0-1.
    """
    import tf_keras as keras

    keras.utils.set_random_seed(SEED)
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.Conv2D(32, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    fit_digits(model, data["x_train"], data["y_train"], epochs)
    model.save(path)
    return float(model.evaluate(data["x_test"], data["y_test"], verbose=0)[1])


def fit_digits(
    model: Any, images: Any, labels: Any, epochs: int, batch_size: int = BATCH_SIZE
) -> None:
    """Train a compiled model, with a line of progress every few epochs.

    Args:
        model: tf-keras classifier with the metric "accuracy".
        images: float32, shape (n, height, width, 1).
        labels: int64, shape (n,).
        epochs: Passes over the images.
        batch_size: Number of images in a batch.
    """
    import tf_keras as keras

    def report(epoch: int, logs: dict[str, float]) -> None:
        if (epoch + 1) % _REPORTED == 0 or epoch + 1 == epochs:
            accuracy = f"accuracy {logs['accuracy']:.2%} on training images"
            _say(f"epoch {epoch + 1} of {epochs}: {accuracy}")

    model.fit(
        images,
        labels,
        batch_size=batch_size,
        epochs=epochs,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report)],
    )


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
