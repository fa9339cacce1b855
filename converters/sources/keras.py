"""Models that Keras wrote: of tf-keras and of Keras 3, as a file or a SavedModel."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from converters.data.names import OUTPUT_NAME
from converters.errors import ConversionError
from converters.sources.architecture import (
    StoredLayer,
    find_custom,
    find_lambda,
    stored_layers,
)
from converters.sources.custom_objects import unknown_layers
from converters.sources.kinds import GIVE_A_MODEL
from converters.sources.loaded_model import SHAPES_HINT, LoadedModel, check_model
from converters.sources.saved_model import GRAPH_FILE, load_graph
from converters.sources.source_file import KERAS_3, TF_KERAS, SourceFile


def recognise_keras(path: Path) -> SourceFile | None:
    """Look whether a path holds a Keras model, and of which Keras.

    Raises:
        ConversionError: It is a damaged one, only weights, or has a Lambda layer.
    """
    if path.is_dir():
        return _recognise_folder(path)
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(b"PK\x03\x04"):
        keras_version, config = _read_zip(path)
    elif head == b"\x89HDF\r\n\x1a\n":
        keras_version, config = _read_hdf5(path)
    else:
        return None
    layers = tuple(stored_layers(config))
    code = find_lambda(layers)
    if code is not None:
        raise ConversionError(
            f"{path}: layer {code.name!r} is a Lambda layer, which is Python code in a file; kedge "
            "does not run code from a model file",
            "Replace it by a Keras layer, or save the model with `model.export(folder)` and "
            "convert that with ptq_w8a8",
        )
    return SourceFile(path, KERAS_3 if int(keras_version.split(".")[0]) >= 3 else TF_KERAS, layers)


def _recognise_folder(path: Path) -> SourceFile | None:
    metadata = path / "keras_metadata.pb"
    if not (path / GRAPH_FILE).is_file() or not metadata.is_file():
        return None
    # The root node's JSON describes the whole model; what cannot be read is taken as a graph, which
    # is how a SavedModel with code or custom layers can be converted safely.
    layers = tuple(stored_layers(_root_metadata(metadata.read_bytes())))
    return SourceFile(path, TF_KERAS, layers) if layers else None


def load_keras(source: SourceFile, own: Mapping[str, Any]) -> LoadedModel:
    """Load a Keras model.

    Args:
        source: File or folder.
        own: The user's own layers by their names.

    Raises:
        ConversionError: Keras cannot load it, or it has a layer that is neither of Keras nor among
            the user's own.
    """
    return (_load_keras_3 if source.kind == KERAS_3 else _load_tf_keras)(source, own)


def _load_tf_keras(source: SourceFile, own: Mapping[str, Any]) -> LoadedModel:
    import tf_keras

    is_folder = source.path.is_dir()
    custom = find_custom(unknown_layers(source.layers, own), dir(tf_keras.layers))
    if is_folder and (custom or find_lambda(source.layers)):
        return load_graph(source)
    _refuse_custom(source, custom)
    model = _read_model(tf_keras.models.load_model, source.path, own)
    if not isinstance(model, tf_keras.Model):
        return load_graph(source)
    return _from_keras(source, model, TF_KERAS)


def _load_keras_3(source: SourceFile, own: Mapping[str, Any]) -> LoadedModel:
    import keras

    _refuse_custom(source, find_custom(unknown_layers(source.layers, own), dir(keras.layers)))
    return _from_keras(source, _read_model(keras.models.load_model, source.path, own), KERAS_3)


def _read_model(load: Callable[..., Any], path: Path, own: Mapping[str, Any]) -> Any:
    try:
        return load(str(path), custom_objects=dict(own), compile=False)
    except Exception as error:  # whatever Keras raises on a file that it cannot load
        first_line = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise ConversionError(
            f"{path}: Keras cannot load it: {first_line}",
            "Save it again with the Keras that it was trained with, and without custom objects.",
        ) from error


def _refuse_custom(source: SourceFile, custom: StoredLayer | None) -> None:
    if custom is not None:
        raise ConversionError(
            f"{source.path}: layer {custom.name!r} is of the class {custom.class_name}, which is "
            "no layer of Keras",
            'Name it by `custom_objects = "module:function"` in the [task] of a recipe, or save '
            "the model with `model.export(folder)` and convert that with ptq_w8a8",
        )


def _from_keras(source: SourceFile, model: Any, kind: str) -> LoadedModel:
    if not getattr(model, "built", False) or not getattr(model, "inputs", None):
        raise ConversionError(f"{source.path}: the model has no fixed input", SHAPES_HINT)
    input_specs = [
        (_plain_name(tensor), tuple(tensor.shape), _dtype(tensor.dtype)) for tensor in model.inputs
    ]
    # A Sequential of Keras 3 has a single output and no name for it.
    names = tuple(map(str, getattr(model, "output_names", (OUTPUT_NAME,))))
    return check_model(source, kind, model, _call_of(model), input_specs, names)


def _call_of(model: Any) -> Callable[[Any], Any]:
    """Calls a Keras model with a tensor, or a list in the order of its inputs."""
    struct = getattr(model, "_inputs_struct", None)
    if not isinstance(struct, dict):
        return lambda x: model(x, training=False)
    # One of Keras 3 that was made with a dict takes nothing but a dict.
    places = {id(tensor): place for place, tensor in enumerate(model.inputs)}

    def call(x: Any) -> Any:
        tensors = x if isinstance(x, list) else [x]
        named = {key: tensors[places[id(tensor)]] for key, tensor in struct.items()}
        return model(named, training=False)

    return call


def _plain_name(tensor: Any) -> str:
    return str(tensor.name).partition(":")[0]


def _dtype(dtype: Any) -> str:
    return str(getattr(dtype, "name", dtype))


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
            f"{path}: is a zip file, but not a complete Keras model: {error}", GIVE_A_MODEL
        ) from error


def _read_hdf5(path: Path) -> tuple[str, Any]:
    # Comes with TensorFlow: absent where kedge is installed without [convert].
    import h5py  # type: ignore[import-untyped]

    try:
        with h5py.File(path) as file:
            if "model_config" not in file.attrs:
                raise ConversionError(
                    f"{path}: holds weights only, without the model's layers",
                    "Save the whole model with `model.save(...)`",
                )
            version = file.attrs.get("keras_version", "2")
            return _text(version), json.loads(_text(file.attrs["model_config"]))
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise ConversionError(f"{path}: is a damaged HDF5 file: {error}", GIVE_A_MODEL) from error


def _text(raw: Any) -> str:
    return raw.decode() if isinstance(raw, bytes) else str(raw)
