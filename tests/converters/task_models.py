"""Writes small trained models that are no classifiers: python task_models.py FOLDER."""

from __future__ import annotations

import sys
from pathlib import Path

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
    model = tf_keras.Sequential(
        [layers.Input((8,)), layers.Dense(32, "relu"), layers.Dense(32, "relu"), layers.Dense(2)]
    )
    model.compile("adam", "mse")
    model.fit(x[:600], y[:600], epochs=40, batch_size=32, verbose=0)
    model.save(folder / "regression.keras")


def autoencoder(folder: Path) -> None:
    """Pictures of 8x8 that are sums of two waves; the anomalies are noise."""
    random = np.random.default_rng(1)

    def normal(count: int):
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


def main(folder: Path) -> None:
    """All of them."""
    tf_keras.utils.set_random_seed(0)
    regression(folder)
    autoencoder(folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
