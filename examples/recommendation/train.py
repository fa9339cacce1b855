"""Trains a recommender with two towers and writes model.keras and data.npz."""

import keras
from data import ITEMS, load
from keras import layers

#: Length of the vectors whose product is the score.
WIDTH = 32


def build():
    """Return the network: a vector for the history, one for the item, and their product."""
    history = keras.Input((ITEMS,), name="history")
    user = layers.Dense(WIDTH)(layers.Dense(64, activation="relu")(history))
    item = keras.Input((1,), dtype="int32", name="item")
    vector = layers.Flatten()(layers.Embedding(ITEMS, WIDTH)(item))
    product = layers.Multiply()([user, vector])
    score = layers.Dense(1, activation="sigmoid")(product)
    return keras.Model([history, item], score)


def main():
    """Train, and write the model."""
    keras.utils.set_random_seed(0)
    data, model = load(), build()
    x = {"history": data["x_train.history"], "item": data["x_train.item"]}
    model.compile("adam", "binary_crossentropy", metrics=["accuracy"])
    model.fit(x, data["y_train"], epochs=8, batch_size=128, verbose=2)
    model.save("model.keras")


if __name__ == "__main__":
    main()
