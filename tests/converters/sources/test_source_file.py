from __future__ import annotations

import json
import struct
import zipfile
from pathlib import Path

import pytest

from converters.errors import ConversionError
from converters.sources.architecture import stored_layers
from converters.sources.kinds import (
    GIVE_A_MODEL,
    MODEL_SUFFIXES,
    SOURCES,
    function_at,
    identify,
)
from converters.sources.source_file import KERAS_3, SAVED_MODEL, TF_KERAS


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("keras2.h5", TF_KERAS),
        ("keras2_saved", TF_KERAS),
        ("keras3.keras", KERAS_3),
        ("keras3.h5", KERAS_3),
        ("keras3_export", SAVED_MODEL),
    ],
)
def test_the_content_tells_the_kind(zoo: Path, name: str, kind: str) -> None:
    assert identify(zoo / name).kind == kind


def test_every_kind_has_its_two_functions_and_the_hint_names_them_all() -> None:
    for source in SOURCES.values():
        assert callable(function_at(source.recogniser))
        assert callable(function_at(source.loader))
        assert source.words in GIVE_A_MODEL
    assert MODEL_SUFFIXES == (".pt2", ".h5", ".keras", ".tflite", ".onnx")


def refused(path: Path) -> str:
    with pytest.raises(ConversionError) as caught:
        identify(path)
    assert str(path) in str(caught.value)
    assert caught.value.hint
    return str(caught.value)


@pytest.mark.parametrize("name", ["lambda.h5", "lambda.keras", "lambda3.keras"])
def test_code_in_a_file_is_named_and_never_run(zoo: Path, name: str) -> None:
    assert "layer 'twice' is a Lambda layer" in refused(zoo / name)


def test_weights_alone_are_no_model(zoo: Path) -> None:
    assert "holds weights only" in refused(zoo / "only_weights.h5")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not a model: it is empty"),
        (b"hello, world", "is not a model: it is a text that begins with 'hello, world'"),
        (b"\x1c\0\0\0TFL3....", "is a damaged or cut-off .tflite"),
        (b"PK\x03\x04 and no more", "is a zip file, but not a complete Keras model"),
        (b"\x89HDF\r\n\x1a\n and no more", "is a damaged HDF5 file"),
    ],
)
def test_what_is_no_model_is_said(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    assert message in refused(path)


@pytest.mark.parametrize("name", ["keras2.h5", "keras3.keras"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
def test_a_cut_off_model_is_refused(zoo: Path, tmp_path: Path, name: str, share: float) -> None:
    whole = (zoo / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: int(len(whole) * share)])
    assert "not a complete Keras model" in refused(path) or "damaged HDF5" in refused(path)


def test_a_cut_off_pt2_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_bytes(b"PK\x03\x04 and no more")
    assert "not a complete .pt2 of torch.export" in refused(path)


def test_a_zip_of_several_disks_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
    content = path.read_bytes()
    end = content.rindex(b"PK\5\6")
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, 0, 5)  # of a ZIP64 that has five disks
    path.write_bytes(content[:end] + locator + content[end:])
    with pytest.raises(ConversionError, match="not a complete Keras model"):
        identify(path)


def test_a_zip_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", json.dumps([1, 2]))
    assert "not a complete Keras model" in refused(path)


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    assert "without saved_model.pb" in refused(tmp_path)


def test_layers_inside_of_wrappers_and_models_are_seen() -> None:
    inner = {"class_name": "Dense", "config": {"name": "inside"}}
    wrapper = {"class_name": "TimeDistributed", "config": {"name": "around", "layer": inner}}
    nested = {"class_name": "Functional", "config": {"name": "m", "layers": [wrapper, None, 3]}}
    assert [layer.name for layer in stored_layers(nested)] == ["m", "around", "inside"]
