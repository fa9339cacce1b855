"""Trains a DS-CNN, the keyword spotter of MLPerf Tiny, and writes model.keras and data.npz."""

import keras
from data import WORDS, load
from keras import layers

#: Channels and depth of the "small" DS-CNN (Zhang et al., Hello Edge, 2017).
CHANNELS, BLOCKS = 64, 4


def build():
    """Return the network: one convolution, then depthwise separable ones."""
    inputs = keras.Input((49, 10, 1))
    x = layers.Conv2D(CHANNELS, (10, 4), strides=2, padding="same", use_bias=False)(inputs)
    x = layers.ReLU()(layers.BatchNormalization()(x))
    for _ in range(BLOCKS):
        x = layers.DepthwiseConv2D(3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
        x = layers.Conv2D(CHANNELS, 1, use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(len(WORDS), activation="softmax")(x))


def main():
    """Train, and write the model."""
    keras.utils.set_random_seed(0)
    data, model = load(), build()
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(data["x_train"], data["y_train"], epochs=12, batch_size=64, verbose=2)
    model.save("model.keras")


if __name__ == "__main__":
    main()
