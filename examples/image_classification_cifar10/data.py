"""CIFAR-10: 60,000 real photographs of 32x32 pixels in ten classes (Krizhevsky, 2009)."""

import io
import tarfile

import numpy as np
from PIL import Image

#: Folders `train/` and `test/`, with a folder of images for each class.
ARCHIVE = "cifar10.tar.gz"


def load_training_images():
    """Return the training images and their classes.

    Returns:
        x: uint8, (n, 32, 32, 3). y: int64, (n,), classes by the alphabetical order of their names.
    """
    images, names = [], []
    with tarfile.open(ARCHIVE) as archive:
        for member in archive:
            parts = member.name.split("/")
            if member.isfile() and "train" in parts:
                content = archive.extractfile(member).read()
                images.append(np.asarray(Image.open(io.BytesIO(content)).convert("RGB")))
                names.append(parts[-2])
    return np.stack(images), np.unique(names, return_inverse=True)[1]
