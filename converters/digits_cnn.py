"""Trains a small convolutional network on real images that arrive with scikit-learn.

    python -m converters.digits_cnn --out DIR

writes DIR/digits.keras and DIR/digits.npz: a model and its data, ready for `kedge convert`. With
--loud one channel of the network is 300 times as large as the others, as it happens in networks
that were trained without care for ranges: 8 bits for all channels leave next to nothing for the
others, so that the network loses by post-training quantization and not by training with 8 bits.
The images are 1,797 handwritten digits of 8x8 pixels with values from 0 to 16 (UCI "Optical
Recognition of Handwritten Digits", Alpaydin and Kaynak, 1998).
"""

from __future__ import annotations

import argparse
import io
import os
import sys
import tempfile
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
#: Scale of the first channel behind the second convolution of a loud network.
LOUDNESS = 300.0
#: Number of epochs from one line of progress to the next.
_REPORTED = 5
SEED = 0


def main() -> None:
    """Train, and write the model and the data whole or not at all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="folder; made if absent")
    parser.add_argument("--epochs", type=int, default=EPOCHS)
    parser.add_argument("--loud", action="store_true", help="one channel far above the others")
    options = parser.parse_args()
    # TensorFlow reads it at its first import.
    os.environ["TF_USE_LEGACY_KERAS"] = "1"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    options.out.mkdir(parents=True, exist_ok=True)
    data = digits()
    with tempfile.TemporaryDirectory(prefix=".kedge-", dir=options.out) as folder:
        work = Path(folder)
        accuracy = train_digits(data, work / MODEL_NAME, options.epochs, options.loud)
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **data)
        durable.write(work / DATA_NAME, buffer.getvalue())
        durable.publish(work, options.out, (DATA_NAME, MODEL_NAME))
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


def train_digits(data: dict[str, Any], path: Path, epochs: int, loud: bool = False) -> float:
    """Train the network and save it.

    Args:
        data: Arrays that `digits` returns.
        path: The .keras file to write.
        epochs: Passes over the training images.
        loud: Whether one channel is `LOUDNESS` times as large as the others.

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
            layers.BatchNormalization(name="second"),
            layers.Activation("swish") if loud else layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )
    if loud:
        gamma, *others = model.get_layer("second").get_weights()
        gamma[0] = LOUDNESS
        model.get_layer("second").set_weights([gamma, *others])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

    def report(epoch: int, logs: dict[str, float]) -> None:
        if (epoch + 1) % _REPORTED == 0 or epoch + 1 == epochs:
            accuracy = f"accuracy {logs['accuracy']:.2%} on training images"
            _say(f"epoch {epoch + 1} of {epochs}: {accuracy}")

    model.fit(
        data["x_train"],
        data["y_train"],
        batch_size=BATCH_SIZE,
        epochs=epochs,
        verbose=0,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=report)],
    )
    model.save(path)
    return float(model.evaluate(data["x_test"], data["y_test"], verbose=0)[1])


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
