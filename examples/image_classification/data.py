"""Handwritten digits: 1,797 real images of 8x8 pixels, which arrive with scikit-learn."""

import numpy as np
from sklearn.datasets import load_digits

#: Every fifth image is held out.
HELD_OUT = 5


def load():
    """Return the images and the digits on them.

    Returns:
        x_train and x_test: float32, (n, 8, 8, 1), 0-1. y_train and y_test: int64, (n,), 0-9.
    """
    digits = load_digits()
    images = (digits.images / 16).astype(np.float32)[..., np.newaxis]
    is_test = np.arange(len(images)) % HELD_OUT == 0
    return {
        "x_train": images[~is_test],
        "y_train": digits.target[~is_test],
        "x_test": images[is_test],
        "y_test": digits.target[is_test],
    }
