"""What a file is that was given in the place of a model, data or a .tflite."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from converters.errors import ConversionError
from converters.foreign_files import describe_file
from converters.sources.kinds import identify
from converters.tflite.reader import read_model


def zip_of(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "{}")
    return buffer.getvalue()


ARCHITECTURE = json.dumps({"module": "keras", "class_name": "Sequential", "config": {}}).encode()
SAFETENSORS = (20).to_bytes(8, "little") + b'{"__metadata__":{}}  '
FILES: dict[str, tuple[bytes, str]] = {
    "empty": (b"", "empty"),
    "architecture": (ARCHITECTURE, "architecture of a Keras model as JSON, without weights"),
    "tfjs": (b'{"modelTopology": {}}', "TensorFlow.js"),
    "json": (b'{"a": 1}', "a JSON file"),
    "pytorch": (zip_of("archive/data.pkl", "archive/version"), "a PyTorch file"),
    "old pytorch": (b"\x80\x02\x8a\nl\xfc", "PyTorch"),
    "keras": (zip_of("config.json", "metadata.json"), "a Keras model"),
    "zip": (zip_of("a.txt"), "a zip file with a.txt"),
    "saved model": (zip_of("m/saved_model.pb"), "a zip file of a SavedModel"),
    "cut zip": (zip_of("a.txt")[:30], "cut off"),
    "gzip": (b"\x1f\x8b\x08\x00rest", "a gzip file"),
    "onnx": (b"\x08\x07\x12\x07pytorch\x1a\x051.0", "an ONNX model"),
    "safetensors": (SAFETENSORS, "safetensors"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
    "page": (b"<!DOCTYPE html><html>", "a web page"),
    "hdf5": (b"\x89HDF\r\n\x1a\nrest", "an HDF5 file"),
    "text": (b"x,y\n1,2\n", "a text that begins with 'x,y'"),
    "noise": (bytes(range(200, 255)), "of an unknown kind"),
}


@pytest.mark.parametrize(("content", "words"), FILES.values(), ids=FILES)
def test_a_file_is_named_by_what_it_is(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "file.bin"
    path.write_bytes(content)
    what, hint = describe_file(path)
    assert words in what
    assert not hint or hint.endswith(".")


def test_an_array_file_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "data.npz", x=np.zeros(3))
    assert describe_file(tmp_path / "data.npz")[0] == "an .npz of arrays"


def test_models_and_tflites_say_what_the_file_is(tmp_path: Path) -> None:
    path = tmp_path / "model.json"
    path.write_bytes(ARCHITECTURE)
    with pytest.raises(ConversionError, match="without weights") as error:
        identify(path)
    assert "model.save" in error.value.hint
    keras = tmp_path / "model.keras"
    keras.write_bytes(zip_of("config.json", "metadata.json"))
    with pytest.raises(ConversionError, match="is not a .tflite: it is a Keras model") as error:
        read_model(keras)
    assert "kedge convert" in error.value.hint
