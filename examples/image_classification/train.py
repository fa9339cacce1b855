"""Trains a small convolutional network on handwritten digits and writes model.keras."""

import keras
from data import load
from keras import layers


def build():
    """Return the network: three convolutions and a classifier."""
    return keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same", activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(10, activation="softmax"),
        ]
    )


def main():
    """Train, and write the model."""
    keras.utils.set_random_seed(0)
    data, model = load(), build()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(data["x_train"], data["y_train"], epochs=40, batch_size=32, verbose=2)
    model.save("model.keras")


if __name__ == "__main__":
    main()
