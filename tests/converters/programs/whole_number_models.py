"""Run as a program: writes trained models whose inputs are whole numbers, and their data.

python -m tests.converters.programs.whole_number_models FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tf_keras

random = np.random.default_rng(0)
layers = keras.layers


def save(folder: Path, name: str, model: Any, x: Any, y: np.ndarray) -> None:
    """Train on all but the last 300 samples; x is an array, or name to array."""
    named = x if isinstance(x, dict) else {"": x}
    parts = {"train": slice(0, -300), "test": slice(-300, None)}
    fed = {key: value[parts["train"]] for key, value in named.items()}
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(fed.get("", fed), y[parts["train"]], epochs=8, verbose=0)
    model.save(folder / name)
    arrays = {f"y_{split}": y[rows] for split, rows in parts.items()}
    for key, value in named.items():
        for split, rows in parts.items():
            arrays[f"x_{split}.{key}".rstrip(".")] = value[rows]
    np.savez(folder / f"{Path(name).stem}.npz", **arrays)


def text(kind: Any, folder: Path, name: str) -> None:
    """Twelve numbers of words; their moods add up."""
    mood = random.normal(size=200)
    words = random.integers(1, 200, (1500, 12)).astype("int32")
    start = kind.Input((12,), dtype="int32")
    hidden = kind.layers.Embedding(200, 16)(start)
    hidden = kind.layers.Conv1D(16, 3, activation="relu")(hidden)
    hidden = kind.layers.GlobalAveragePooling1D()(hidden)
    model = kind.Model(start, kind.layers.Dense(2, activation="softmax")(hidden))
    save(folder, name, model, words, (mood[words].sum(axis=1) > 0).astype("int64"))


def recommendation(folder: Path) -> None:
    """A user, an item and facts about them as floats."""
    users, items = random.normal(size=60), random.normal(size=80)
    x = {
        "user": random.integers(0, 60, (1500, 1)),
        "item": random.integers(0, 80, (1500, 1)).astype("int16"),
        "facts": random.normal(size=(1500, 3)).astype("float32"),
    }
    starts = [
        keras.Input((1,), dtype="int64", name="user"),
        keras.Input((1,), dtype="int32", name="item"),
        keras.Input((3,), name="facts"),
    ]
    tables = [layers.Embedding(60, 8)(starts[0]), layers.Embedding(80, 8)(starts[1])]
    hidden = layers.Concatenate()([*map(layers.Flatten(), tables), starts[2]])
    hidden = layers.Dense(16, activation="relu")(hidden)
    model = keras.Model(starts, layers.Dense(2, activation="softmax")(hidden))
    score = users[x["user"][:, 0]] + items[x["item"][:, 0]] + x["facts"][:, 0]
    save(folder, "reco.keras", model, x, (score > 0).astype("int64"))


def picture(folder: Path) -> None:
    """Pixels as uint8, made floats inside."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    start = keras.Input((8, 8, 1), dtype="uint8")
    hidden = layers.Rescaling(1 / 255)(keras.ops.cast(start, "float32"))
    hidden = layers.Flatten()(layers.Conv2D(16, 3, activation="relu")(hidden))
    model = keras.Model(start, layers.Dense(10, activation="softmax")(hidden))
    pixels = (digits.images[..., None] * 15.9).astype("uint8")
    save(folder, "picture.keras", model, pixels, digits.target)


def float_words(folder: Path) -> None:
    """Numbers of words as floats, which an 8-bit input would round to other words."""
    mood = random.normal(size=500)
    words = random.integers(1, 500, (1500, 12))
    start = keras.Input((12,))
    hidden = layers.GlobalAveragePooling1D()(layers.Embedding(500, 16)(start))
    model = keras.Model(start, layers.Dense(2, activation="softmax")(hidden))
    save(folder, "float_words.keras", model, words, (mood[words].sum(axis=1) > 0).astype("int64"))


def table(folder: Path) -> None:
    """Columns that differ by 8 powers of ten, and their normalization inside the model."""
    u = random.normal(size=(2000, 5))
    x = (u * [1e-3, 1, 50, 1e3, 1e5]).astype("float32")
    y = (u[:, 0] + u[:, 1] * u[:, 2] + 0.5 * u[:, 3] - u[:, 4]) > 0
    norm = layers.Normalization()
    norm.adapt(x[:-300])
    widths = (32, 32)
    model = keras.Sequential(
        [
            keras.Input((5,)),
            norm,
            *(layers.Dense(width, activation="relu") for width in widths),
            layers.Dense(2, activation="softmax"),
        ]
    )
    save(folder, "table.keras", model, x, y.astype("int64"))


if __name__ == "__main__":
    place = Path(sys.argv[1])
    keras.utils.set_random_seed(0)
    text(keras, place, "text.keras")
    text(tf_keras, place, "old_text.h5")
    recommendation(place)
    picture(place)
    float_words(place)
    table(place)
