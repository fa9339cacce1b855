"""Models that Keras wrote: of tf-keras and of Keras 3, as a file or a SavedModel."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from converters.data.names import OUTPUT_NAME
from converters.errors import ConversionError
from converters.sources.allowed_classes import first_unknown, keras_names
from converters.sources.architecture import StoredLayer, stored_layers
from converters.sources.declared_shapes import declared_shapes
from converters.sources.keras_file import is_foreign_zip, model_json, read_hdf5, read_zip
from converters.sources.load_limits import refuse_without_memory
from converters.sources.loaded_model import SHAPES_HINT, LoadedModel, check_model
from converters.sources.precision import in_float32
from converters.sources.saved_graph import check_graph, check_links_in
from converters.sources.saved_model import GRAPH_FILE, load_graph
from converters.sources.saved_variables import refuse_damaged_variables
from converters.sources.source_file import KERAS_3, TF_KERAS, SourceFile
from converters.sources.text_inputs import refuse_text
from converters.sources.training_wrappers import wrapper_hint
from converters.sources.wire import message_fields, submessages, texts

_METADATA_FILE = "keras_metadata.pb"
# Field numbers of its messages.
_NODES, _NODE_ID, _NODE_JSON = 1, 2, 5


def recognise_keras(path: Path) -> SourceFile | None:
    """Look whether a path holds a Keras model, and of which Keras.

    Raises:
        ConversionError: It is a damaged one, only weights, or has code or links to other files.
    """
    if path.is_dir():
        return _recognise_folder(path)
    with path.open("rb") as file:
        head = file.read(8)
    if head.startswith(b"PK\x03\x04"):
        if is_foreign_zip(path):
            return None
        version, config = read_zip(path)
    elif head == b"\x89HDF\r\n\x1a\n":
        version, config = read_hdf5(path)
    else:
        return None
    kind = KERAS_3 if version >= 3 else TF_KERAS
    layers = tuple(stored_layers(config))
    refuse_text(path, config, layers)
    return SourceFile(path, kind, layers, declared_shapes(config))


def _recognise_folder(path: Path) -> SourceFile | None:
    metadata = path / _METADATA_FILE
    if not (path / GRAPH_FILE).is_file() or not metadata.is_file():
        return None
    check_links_in(path)
    # What cannot be read, or has code, is taken as a graph, which runs none of it: TensorFlow
    # reads the ops alone, and each of them is checked before.
    try:
        configs = _node_configs(path, memoryview(metadata.read_bytes()))
    except (ConversionError, ValueError, RecursionError):
        return None
    layers = tuple(layer for config in configs for layer in stored_layers(config))
    return SourceFile(path, TF_KERAS, layers) if layers else None


def _node_configs(path: Path, metadata: memoryview) -> list[Any]:
    """JSON of each object of the model; the model itself, which is number 0, is among them."""
    nodes = list(submessages(metadata, _NODES))
    numbers = [
        next((value for field, value in message_fields(node) if field == _NODE_ID), 0)
        for node in nodes
    ]
    if 0 not in numbers:
        raise ValueError("the metadata has no model")
    return [model_json(path, text) for node in nodes for text in texts(node, _NODE_JSON)]


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
    custom = first_unknown(source.layers, own, keras_names(tf_keras))
    if is_folder:
        check_graph(source.path, GRAPH_FILE)
        if custom:
            return load_graph(source)
    _refuse_custom(source, custom)
    model = _read_model(tf_keras.models.load_model, source.path, own)
    if not isinstance(model, tf_keras.Model):
        return load_graph(source)
    return _from_keras(source, in_float32(model, own), TF_KERAS)


def _load_keras_3(source: SourceFile, own: Mapping[str, Any]) -> LoadedModel:
    import keras

    _refuse_custom(source, first_unknown(source.layers, own, keras_names(keras)))
    model = _read_model(keras.models.load_model, source.path, own)
    return _from_keras(source, in_float32(model, own), KERAS_3)


def _read_model(load: Callable[..., Any], path: Path, own: Mapping[str, Any]) -> Any:
    try:
        return load(str(path), custom_objects=dict(own), compile=False)
    except Exception as error:  # whatever Keras raises on a file that it cannot load
        refuse_without_memory(path, error)
        if path.is_dir():
            refuse_damaged_variables(path, error)
        first_line = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise ConversionError(
            f"{path}: Keras cannot load it: {first_line}",
            "Save it again with the Keras that it was trained with, and without custom objects.",
        ) from error


def _refuse_custom(source: SourceFile, custom: StoredLayer | None) -> None:
    if custom is None:
        return
    wrapper = wrapper_hint(source.layers)
    if wrapper is not None:
        layer, hint = wrapper
        raise ConversionError(
            f"{source.path}: layer {layer.name!r} is a {layer.class_name} of TensorFlow Model "
            "Optimization, which belongs to the training; kedge expects the model without it",
            hint,
        )
    if custom.is_function:
        what = f"it names the function {custom.name} of {custom.module or 'no module'}, which is no"
        what = f"{what} activation, loss or metric of Keras"
    else:
        module = f" of {custom.module}" if custom.module else ""
        subject = f"layer {custom.name!r}" if custom.name else "an object of it"
        what = f"{subject} is of the class {custom.class_name}{module}, which is no class of Keras"
    raise ConversionError(
        f"{source.path}: {what}; kedge allows classes and functions that Keras brings, and those "
        "that you name",
        'Name it by `custom_objects = "module:function"` in the [task] of a recipe, or save '
        "the model with `model.export(folder)` and convert that with ptq_w8a8.",
    )


def _from_keras(source: SourceFile, model: Any, kind: str) -> LoadedModel:
    if not getattr(model, "built", False) or not getattr(model, "inputs", None):
        raise ConversionError(f"{source.path}: the model has no fixed input", SHAPES_HINT)
    input_specs = [
        (_plain_name(tensor), tuple(tensor.shape), _dtype(tensor.dtype)) for tensor in model.inputs
    ]
    # A Sequential of Keras 3 has a single output and no name for it.
    names = tuple(map(str, getattr(model, "output_names", (OUTPUT_NAME,))))
    return check_model(source, kind, model, model_call(model), input_specs, names)


def model_call(model: Any) -> Callable[[Any], Any]:
    """Return a function of a tensor, or a list in the order of the model's inputs.

    Args:
        model: Keras model.
    """
    struct = getattr(model, "_inputs_struct", None)
    if not isinstance(struct, dict):
        return lambda x: model(x, training=False)
    # One of Keras 3 that was made with a dict takes nothing but a dict.
    places = {id(tensor): place for place, tensor in enumerate(model.inputs)}

    def call(x: Any) -> Any:
        tensors = x if isinstance(x, list) else [x]
        by_key = {key: tensors[places[id(tensor)]] for key, tensor in struct.items()}
        return model(by_key, training=False)

    return call


def _plain_name(tensor: Any) -> str:
    return str(tensor.name).partition(":")[0]


def _dtype(dtype: Any) -> str:
    return str(getattr(dtype, "name", dtype))
