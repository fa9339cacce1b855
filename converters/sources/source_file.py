"""What kind of model a path holds, by its content; brings nothing of it to life."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from converters.errors import ConversionError
from converters.sources.architecture import StoredLayer, find_lambda, stored_layers
from converters.tflite.reader import read_model

TF_KERAS = "tf_keras"
KERAS_3 = "keras3"
SAVED_MODEL = "saved_model"
TFLITE = "tflite"

_SUPPORTED = (
    "give a tf-keras or Keras 3 model (.h5, .keras), a SavedModel folder or a float .tflite"
)


#: Types of a quantized tensor, and of weights that are stored in fewer bits without a scale.
_QUANTIZED_DTYPES = ("int4", "int8", "uint8", "int16")
_STORED_DTYPES = ("float16", "bfloat16")


@dataclass(frozen=True)
class SourceFile:
    """A model's file or folder, before anything of it is loaded."""

    path: Path
    """File or folder."""
    kind: str
    """`TF_KERAS`, `KERAS_3`, `SAVED_MODEL` (a graph without Keras layers) or `TFLITE`."""
    layers: tuple[StoredLayer, ...]
    """The layers it says it has; empty for a graph."""


def identify(path: Path) -> SourceFile:
    """Find out by its content what kind of model a path holds.

    Raises:
        ConversionError: It is no model, only weights, has a Lambda layer, or is a .tflite that
            was quantized already.
    """
    if path.is_dir():
        return _identify_folder(path)
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(b"PK\x03\x04"):
        keras_version, config = _read_zip(path)
    elif head == b"\x89HDF\r\n\x1a\n":
        keras_version, config = _read_hdf5(path)
    elif head[4:] == b"TFL3":
        return _identify_tflite(path)
    else:
        found = f"begins with {head!r}" if head else "is empty"
        raise ConversionError(f"{path}: is not a model: it {found}", _SUPPORTED)
    layers = tuple(stored_layers(config))
    code = find_lambda(layers)
    if code is not None:
        raise ConversionError(
            f"{path}: layer {code.name!r} is a Lambda layer, which is Python code in a file; kedge "
            "does not run code from a model file",
            "replace it by a Keras layer, or save the model with `model.export(folder)` and "
            "convert that with ptq_w8a8",
        )
    return SourceFile(path, KERAS_3 if int(keras_version.split(".")[0]) >= 3 else TF_KERAS, layers)


def _identify_tflite(path: Path) -> SourceFile:
    model = read_model(path)
    if model.edgetpu:
        raise ConversionError(
            f"{path}: was compiled for the Edge TPU", "give the float model that it was made from"
        )
    for tensor in model.tensors:
        stored = tensor.is_constant and tensor.dtype in _STORED_DTYPES
        if tensor.scales and tensor.dtype in _QUANTIZED_DTYPES or stored:
            raise ConversionError(
                f"{path}: is a .tflite that was quantized already (tensor {tensor.name!r} is "
                f"{tensor.dtype}): the precision that rounding removed cannot be restored",
                "give the float .tflite or the Keras model that it was made from; push and bench "
                "take it as it is",
            )
    return SourceFile(path, TFLITE, ())


def _identify_folder(path: Path) -> SourceFile:
    if not (path / "saved_model.pb").is_file():
        raise ConversionError(f"{path}: is a folder without saved_model.pb", _SUPPORTED)
    metadata = path / "keras_metadata.pb"
    if not metadata.is_file():
        return SourceFile(path, SAVED_MODEL, ())
    # The root node's JSON describes the whole model; what cannot be read is taken as a graph, which
    # is how a SavedModel with code or custom layers can be converted safely.
    layers = tuple(stored_layers(_root_metadata(metadata.read_bytes())))
    return SourceFile(path, TF_KERAS if layers else SAVED_MODEL, layers)


def _root_metadata(raw: bytes) -> Any:
    start = raw.find(b'{"name"')
    if start < 0:
        return None
    try:
        return json.JSONDecoder().raw_decode(raw[start:].decode("utf-8", "replace"))[0]
    except ValueError:
        return None


def _read_zip(path: Path) -> tuple[str, Any]:
    try:
        with zipfile.ZipFile(path) as archive:
            version = json.loads(archive.read("metadata.json"))["keras_version"]
            return str(version), json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError, TypeError, EOFError, OSError) as error:
        raise ConversionError(
            f"{path}: is a zip file, but not a complete Keras model: {error}", _SUPPORTED
        ) from error


def _read_hdf5(path: Path) -> tuple[str, Any]:
    # Comes with TensorFlow: absent where kedge is installed without [convert].
    import h5py  # type: ignore[import-untyped]

    try:
        with h5py.File(path) as file:
            if "model_config" not in file.attrs:
                raise ConversionError(
                    f"{path}: holds weights only, without the model's layers",
                    "save the whole model with `model.save(...)`",
                )
            version = file.attrs.get("keras_version", "2")
            return _text(version), json.loads(_text(file.attrs["model_config"]))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ConversionError(f"{path}: is a damaged HDF5 file: {error}", _SUPPORTED) from error


def _text(raw: Any) -> str:
    return raw.decode() if isinstance(raw, bytes) else str(raw)
