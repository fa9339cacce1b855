"""From a picture to an input: each resize against its definition, Pillow and TensorFlow."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from device_agent.contract.fitting import crop_of, letterbox_of, resize
from device_agent.contract.model_card import RESIZES, ImageInput
from device_agent.samples.preprocess import preprocess
from tests.resize_definition import resized

#: float32 against float32 with coordinates in float32, as TensorFlow has them; of 255.
TENSORFLOW_TOLERANCE = 0.01
#: Pillow rounds to whole pixels after each of two axes.
PILLOW_TOLERANCE = 1.0
#: float32 against float64.
TOLERANCE = 1e-3

Array = np.ndarray[Any, Any]

#: (height, width) of a picture and of the result: smaller, larger, both, one pixel, the same.
SIZES = [
    ((37, 53), (20, 31)),
    ((37, 53), (64, 90)),
    ((100, 30), (10, 60)),
    ((341, 512), (128, 128)),
    ((5, 7), (1, 1)),
    ((1, 1), (4, 3)),
    ((9, 9), (9, 9)),
]


def picture(height: int, width: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("method", RESIZES)
@pytest.mark.parametrize(("before", "after"), SIZES)
def test_a_resize_is_what_it_is_defined_as(
    method: str, before: tuple[int, int], after: tuple[int, int]
) -> None:
    pixels = picture(*before)
    found = resize(np, pixels, *after, method)

    assert found.dtype == np.float32
    assert found.shape == (*after, 3)
    assert np.abs(found - resized(pixels, *after, method)).max() < TOLERANCE


@pytest.mark.parametrize(("before", "after"), SIZES)
def test_nearest_and_antialias_are_those_of_pillow(
    before: tuple[int, int], after: tuple[int, int]
) -> None:
    pixels = picture(*before)

    def pillow(method: Image.Resampling) -> Array:
        return np.asarray(Image.fromarray(pixels).resize(after[::-1], method), np.float32)

    assert (resize(np, pixels, *after, "nearest") == pillow(Image.Resampling.NEAREST)).all()
    difference = resize(np, pixels, *after, "antialias") - pillow(Image.Resampling.BILINEAR)
    assert np.abs(difference).max() < PILLOW_TOLERANCE


#: Run in a process of its own, as everything that loads TensorFlow.
TENSORFLOW = """
import sys
import numpy as np
import tensorflow as tf

cases = dict(np.load(sys.argv[1]))
made = {}
for name, pixels in cases.items():
    method, height, width = name.split()[1:]
    size = (int(height), int(width))
    made[name] = {
        "bilinear": lambda: tf.image.resize(pixels, size),
        "antialias": lambda: tf.image.resize(pixels, size, antialias=True),
        "area": lambda: tf.image.resize(pixels, size, method="area"),
        "nearest": lambda: tf.image.resize(pixels, size, method="nearest"),
        "letterbox": lambda: tf.image.resize_with_pad(pixels, *size),
    }[method]()
np.savez(sys.argv[2], **{name: np.asarray(values) for name, values in made.items()})
"""


def test_every_resize_and_letterbox_is_that_of_tensorflow(tmp_path: Path) -> None:
    pytest.importorskip("tf_keras", reason="kedge was installed without TensorFlow")
    cases = {}
    for number, (before, after) in enumerate(SIZES):
        for method in (*RESIZES, "letterbox"):
            if method == "letterbox" and 1 in after:
                continue  # TensorFlow refuses a side of no pixels, where one is taken here
            cases[f"{number} {method} {after[0]} {after[1]}"] = picture(*before, number)
    np.savez(tmp_path / "cases.npz", **cases)
    subprocess.run(
        [sys.executable, "-c", TENSORFLOW, "cases.npz", "made.npz"],
        cwd=tmp_path, check=True, capture_output=True,
    )  # fmt: skip
    made = np.load(tmp_path / "made.npz")
    for name, pixels in cases.items():
        _, method, height, width = name.split()
        to = ImageInput(int(height), int(width), resize=method if method in RESIZES else "bilinear")
        if method == "letterbox":
            to = replace(to, fit="letterbox")
        found = preprocess(np, pixels, to)
        assert np.abs(found - made[name]).max() < TENSORFLOW_TOLERANCE, name


def test_colors() -> None:
    pixels = picture(8, 9)
    gray = np.asarray(Image.fromarray(pixels).convert("L"), np.float32)

    assert (preprocess(np, pixels, ImageInput(8, 9)) == pixels).all()
    assert (preprocess(np, pixels, ImageInput(8, 9, color="BGR")) == pixels[..., ::-1]).all()
    assert (preprocess(np, pixels, ImageInput(8, 9, color="gray"))[..., 0] == gray).all()


def test_layouts() -> None:
    pixels = picture(8, 9)
    first = preprocess(np, pixels, ImageInput(8, 9, layout="NCHW"))
    flat = preprocess(np, pixels, ImageInput(8, 9, layout="NHW", color="gray"))

    assert (first == pixels.transpose(2, 0, 1)).all()
    assert flat.shape == (8, 9)


def test_scales() -> None:
    pixels = picture(4, 4)
    real = preprocess(np, pixels, ImageInput(4, 4, scale=1 / 127.5, offset=-1.0))
    by_channel = preprocess(np, pixels, ImageInput(4, 4, mean=[1, 2, 3], std=[4, 5, 6]))

    assert (real == pixels.astype(np.float32) * np.float32(1 / 127.5) - 1).all()
    assert np.allclose(by_channel, (pixels - np.array([1, 2, 3])) / np.array([4, 5, 6]))


def test_a_crop_is_the_middle() -> None:
    pixels = picture(10, 20)

    assert (preprocess(np, pixels, ImageInput(10, 10, fit="crop")) == pixels[:, 5:15]).all()
    assert (preprocess(np, pixels, ImageInput(4, 20, fit="crop")) == pixels[3:7]).all()


def test_a_letterbox_is_padded_before_it_is_scaled() -> None:
    white = np.full((10, 20, 3), 255, np.uint8)
    boxed = preprocess(np, white, ImageInput(8, 8, fit="letterbox", pad=114, scale=0.5))

    assert (boxed[2:6] == 127.5).all()
    assert (boxed[:2] == 57).all()
    assert (boxed[6:] == 57).all()


@pytest.mark.parametrize(
    ("height", "width"), [(1, 9000), (9000, 1), (3, 2), (224, 224), (480, 641)]
)
def test_a_crop_and_a_letterbox_stay_inside(height: int, width: int) -> None:
    to = ImageInput(224, 160)
    top, left, high, wide = crop_of(height, width, to)
    assert 0 <= top <= top + high <= height
    assert 0 <= left <= left + wide <= width
    assert high >= 1
    assert wide >= 1
    top, left, high, wide = letterbox_of(height, width, to)
    assert 0 <= top <= top + high <= 224
    assert 0 <= left <= left + wide <= 160
    assert preprocess(np, picture(height, width), to).shape == (224, 160, 3)
