"""Trains a small residual network on CIFAR-10 and writes model.keras."""

import keras
from data import load_training_images
from keras import layers

EPOCHS = 8


def convolve(x, channels, stride=1):
    """Return a 3x3 convolution of x and its normalization."""
    x = layers.Conv2D(channels, 3, stride, padding="same", use_bias=False)(x)
    return layers.BatchNormalization()(x)


def build():
    """Return the network: three residual blocks and a classifier, on pixels of 0-255."""
    image = keras.Input((32, 32, 3))
    x = layers.ReLU()(convolve(layers.Rescaling(1 / 255)(image), 16))
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        y = layers.ReLU()(convolve(x, channels, stride))
        around = x if stride == 1 else layers.Conv2D(channels, 1, stride)(x)
        x = layers.ReLU()(layers.add([convolve(y, channels), around]))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(image, layers.Dense(10, activation="softmax")(x))


def main():
    """Train, and write the model."""
    keras.utils.set_random_seed(0)
    x, y = load_training_images()
    model = build()
    rate = keras.optimizers.schedules.CosineDecay(3e-3, EPOCHS * (len(x) // 128))
    optimizer = keras.optimizers.Adam(rate)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=EPOCHS, batch_size=128, verbose=2)
    model.save("model.keras")


if __name__ == "__main__":
    main()
