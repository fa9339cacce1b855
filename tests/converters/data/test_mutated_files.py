"""Damaged files of arrays and models are read, or refused as what they are: never a crash."""

import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from converters.data.data_source import open_dataset
from converters.data.dataset import InputForm
from converters.errors import ConversionError
from converters.evidence.golden import Golden, read_golden, write_golden
from converters.sources.kinds import identify
from converters.tensor_spec import TensorSpec
from device_agent.contract.model_card import ModelCard
from toolkit.errors import ToolkitError
from toolkit.measure.sample_files import read_samples

MUTATIONS = 150

#: Places in the headers of a zip member, behind `PK\x03\x04` and `PK\x01\x02`, and values there
#: that no reader of ours knows: encrypted, packed by another method, made for a later version.
ZIP_HEADERS = (
    {b"PK\x03\x04": (6, 1), b"PK\x01\x02": (8, 1)},
    {b"PK\x03\x04": (8, 99), b"PK\x01\x02": (10, 99)},
    {b"PK\x03\x04": (4, 65), b"PK\x01\x02": (6, 65)},
    {b"PK\x03\x04": (7, 8), b"PK\x01\x02": (9, 0x20)},
)


def write_data(path: Path) -> None:
    """Write a labelled data set."""
    labels = np.arange(12) % 3
    x = np.zeros((12, 4), np.float32)
    np.savez(path, x_train=x, y_train=labels, x_test=x, y_test=labels)


def write_keras(path: Path) -> None:
    """Write what a .keras file begins with; nothing of it is loaded."""
    layer = {"class_name": "Dense", "module": "keras.layers", "config": {"name": "d", "units": 3}}
    config = {"class_name": "Sequential", "config": {"name": "s", "layers": [layer]}}
    weights = io.BytesIO()
    with h5py.File(weights, "w") as file:
        file["d/vars/0"] = np.ones((4, 3), np.float32)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": "2.15.0"}))
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", weights.getvalue())


#: Kind of file to its name, the function that writes a good one, and the one that reads it.
FILES: dict[str, tuple[str, Callable[[Path], object], Callable[[Path], object]]] = {
    "data": ("d.npz", write_data, lambda path: open_dataset(path, InputForm((4,), 3), "0..255", 0)),
    "golden": (
        "golden.npz",
        lambda path: write_golden(path, Golden("ab" * 32, {"x": np.ones((5, 3))}, None)),
        read_golden,
    ),
    "samples": (
        "x.npy",
        lambda path: np.save(path, np.ones((5, 3), np.float32)),
        lambda path: list(
            read_samples(path, [TensorSpec("x", (1, 3), "float32", None, None)], ModelCard())
        ),
    ),
    "keras": ("m.keras", write_keras, identify),
}


def mutations(content: bytes) -> list[bytes]:
    """Return damaged copies of a file."""
    draw = random.Random(len(content))
    damaged = []
    for _ in range(MUTATIONS):
        copy = bytearray(content)
        for _ in range(draw.choice((1, 1, 4))):
            copy[draw.randrange(len(copy))] = draw.randrange(256)
        damaged.append(
            bytes(copy[: draw.choice((len(copy), len(copy), draw.randrange(len(copy))))])
        )
    for places in ZIP_HEADERS:
        copy = bytearray(content)
        for magic, (offset, value) in places.items():
            start = copy.find(magic)
            while start >= 0:
                copy[start + offset] = value
                start = copy.find(magic, start + 4)
        damaged.append(bytes(copy))
    return damaged


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_is_read_or_refused(kind: str, tmp_path: Path) -> None:
    name, write, read = FILES[kind]
    path = tmp_path / name
    write(path)
    read(path)
    refusals = 0
    for content in mutations(path.read_bytes()):
        path.write_bytes(content)
        try:
            read(path)
        except (ConversionError, ToolkitError) as error:
            refusals += 1
            assert name in str(error)
    assert refusals > 10


@pytest.mark.parametrize("version", ["abc", None, "", [], {"a": 1}, "2" * 10_000])
def test_a_version_of_keras_that_is_none_is_no_crash(version: Any, tmp_path: Path) -> None:
    path = tmp_path / "m.keras"
    write_keras(path)
    with zipfile.ZipFile(path) as archive:
        config = archive.read("config.json")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"keras_version": version}))
        archive.writestr("config.json", config)
    with pytest.raises(ConversionError, match="m.keras"):
        identify(path)
