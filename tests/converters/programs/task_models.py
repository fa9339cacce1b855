"""Writes small trained models that are no classifiers: task_models.py FOLDER MODEL…"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import tf_keras
from tf_keras import layers


def regression(folder: Path) -> None:
    """Two numbers out of eight, learned from 600 samples."""
    random = np.random.default_rng(0)
    mixing = random.normal(size=(8, 2))
    x = random.normal(size=(800, 8)).astype("f4")
    y = (np.tanh(x @ mixing) * 3 + random.normal(0, 0.1, (800, 2))).astype("f4")
    np.savez(folder / "regression.npz", x_train=x[:600], y_train=y[:600], x_test=x[600:],
             y_test=y[600:])  # fmt: skip
    np.savez(folder / "unlabelled.npz", x_train=x[:600], x_test=x[600:])
    model = tf_keras.Sequential(
        [layers.Input((8,)), layers.Dense(32, "relu"), layers.Dense(32, "relu"), layers.Dense(2)]
    )
    model.compile("adam", "mse")
    model.fit(x[:600], y[:600], epochs=40, batch_size=32, verbose=0)
    model.save(folder / "regression.keras")


def autoencoder(folder: Path) -> None:
    """Pictures of 8x8 that are sums of two waves; the anomalies are noise."""
    random = np.random.default_rng(1)

    def normal(count: int) -> Any:
        phase = random.uniform(0, 6.3, (count, 2))
        line = np.arange(8)
        rows = np.sin(line[None] * 0.8 + phase[:, :1])
        columns = np.cos(line[None] * 0.5 + phase[:, 1:])
        return (rows[:, :, None] + columns[:, None, :])[..., None].astype("f4")

    x = normal(600)
    strange = random.normal(0, 1, (60, 8, 8, 1)).astype("f4")
    test = np.concatenate([normal(140), strange])
    np.savez(folder / "pictures.npz", x_train=x, x_test=normal(200))
    np.savez(folder / "anomalies.npz", x_train=x, x_test=test, y_test=np.repeat([0, 1], [140, 60]))
    model = tf_keras.Sequential(
        [
            layers.Input((8, 8, 1)),
            layers.Conv2D(8, 3, 2, "same", activation="relu"),
            layers.Flatten(),
            layers.Dense(8, "relu"),
            layers.Dense(128, "relu"),
            layers.Reshape((4, 4, 8)),
            layers.UpSampling2D(),
            layers.Conv2D(1, 3, padding="same"),
        ]
    )
    model.compile(tf_keras.optimizers.Adam(3e-3), "mse")
    model.fit(x, x, epochs=40, batch_size=32, verbose=0)
    model.save(folder / "autoencoder.keras")


def own_layers(folder: Path) -> None:
    """Classifiers of bars, with layers of the user's own; of three classes."""
    from tests.converters.programs.own_layers import Block, Scale, Sorted, model

    random = np.random.default_rng(2)
    labels = random.choice(3, 500, p=[0.4, 0.4, 0.2])
    x = random.normal(0, 0.9, (500, 8, 8, 1)).astype("f4")
    x[labels == 0, :, 2] += 1
    x[labels == 1, 5] += 1
    x[labels == 2] += 0.8 * np.eye(8, dtype="f4")[..., None]
    np.savez(folder / "bars.npz", x_train=x[:300], y_train=labels[:300], x_test=x[300:],
             y_test=labels[300:])  # fmt: skip
    made = model(Block(8), Scale())
    made.compile(tf_keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    made.fit(x[:300], labels[:300], epochs=8, verbose=0)
    made.save(folder / "own.keras")
    made.save(folder / "own.h5")
    model(Sorted(), Block(8)).save(folder / "strange.keras")


MODELS = {"regression": regression, "autoencoder": autoencoder, "own_layers": own_layers}


def main(folder: Path, names: list[str]) -> None:
    """Some of them."""
    for name in names:
        tf_keras.utils.set_random_seed(0)
        MODELS[name](folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
