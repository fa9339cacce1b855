"""Trains a text classifier (embedding and pooling) and writes model.keras and data.npz."""

import keras
from data import LENGTH, LIBRARIES, VOCABULARY, load
from keras import layers


def build():
    """Return the network: the mean of the words' vectors, then two dense layers."""
    return keras.Sequential(
        [
            keras.Input((LENGTH,), dtype="int32"),
            layers.Embedding(VOCABULARY, 32),
            layers.GlobalAveragePooling1D(),
            layers.Dense(64, activation="relu"),
            layers.Dropout(0.3),
            layers.Dense(len(LIBRARIES), activation="softmax"),
        ]
    )


def main():
    """Train, and write the model."""
    keras.utils.set_random_seed(0)
    data, model = load(), build()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(data["x_train"], data["y_train"], epochs=12, batch_size=64, verbose=2)
    model.save("model.keras")


if __name__ == "__main__":
    main()
