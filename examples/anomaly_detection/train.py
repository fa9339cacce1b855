"""Trains an autoencoder on normal samples and writes model.keras."""

import keras
from data import load
from keras import layers


def build():
    """Return the network: 30 numbers through a bottleneck of 4."""
    return keras.Sequential(
        [
            keras.Input((30,)),
            layers.Dense(64, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(4, activation="relu"),
            layers.Dense(32, activation="relu"),
            layers.Dense(64, activation="relu"),
            layers.Dense(30),
        ]
    )


def main():
    """Train, and write the model."""
    keras.utils.set_random_seed(0)
    data, model = load(), build()
    model.compile("adam", "mse")
    model.fit(data["x_train"], data["x_train"], epochs=150, batch_size=16, verbose=2)
    model.save("model.keras")


if __name__ == "__main__":
    main()
