"""A SavedModel as a graph: without Keras layers."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from converters.data.fields import quote_names
from converters.errors import ConversionError
from converters.sources.frozen_graph import freeze_signature, has_references
from converters.sources.kinds import GIVE_A_MODEL
from converters.sources.load_limits import refuse_without_memory
from converters.sources.loaded_model import SHAPES_HINT, LoadedModel, check_model
from converters.sources.saved_graph import check_graph, check_links_in
from converters.sources.saved_variables import refuse_damaged_variables
from converters.sources.source_file import SAVED_MODEL, SourceFile

#: Signature that is converted where there are several.
_DEFAULT = "serving_default"
#: Name of the file that makes a folder a SavedModel.
GRAPH_FILE = "saved_model.pb"


def recognise_saved_model(path: Path) -> SourceFile | None:
    """Look whether a path is the folder of a SavedModel.

    Raises:
        ConversionError: It has links to other files.
    """
    if not (path / GRAPH_FILE).is_file():
        return None
    check_links_in(path)
    return SourceFile(path, SAVED_MODEL)


def load_saved_model(source: SourceFile, own: Mapping[str, Any]) -> LoadedModel:  # noqa: ARG001
    """Load the graph of a SavedModel.

    Args:
        source: Folder.
        own: Not used: the graph has no layers.

    Raises:
        ConversionError: TensorFlow cannot load it, or it has no signature.
    """
    return load_graph(source)


def load_graph(source: SourceFile) -> LoadedModel:
    """Load the graph of a SavedModel, also of one of Keras layers that cannot be loaded as such.

    Raises:
        ConversionError: An op of it is not allowed, TensorFlow cannot load it, or it has no
            signature.
    """
    import tensorflow as tf

    check_graph(source.path, GRAPH_FILE)
    try:
        loaded = tf.saved_model.load(str(source.path))
        signatures = dict(loaded.signatures)
    except Exception as error:  # whatever TensorFlow raises on a damaged folder
        refuse_without_memory(source.path, error)
        refuse_damaged_variables(source.path, error)
        first_line = (str(error) or type(error).__name__).strip().splitlines()[0]
        raise ConversionError(
            f"{source.path}: TensorFlow cannot load it: {first_line}", GIVE_A_MODEL
        ) from error
    name = _choose_signature(source.path, signatures)
    if not name:
        raise ConversionError(
            f"{source.path}: the SavedModel has no signature",
            "Save it with `model.export(folder)` or with signatures={'serving_default': …}",
        )
    signature = signatures[name]
    inputs = signature.structured_input_signature[1]
    for key, spec in inputs.items():
        if spec.shape.rank is None:
            raise ConversionError(
                f"{source.path}: its input {key!r} has no fixed rank", SHAPES_HINT
            )
    keys = tuple(inputs)
    input_specs = [(key, tuple(spec.shape), spec.dtype.name) for key, spec in inputs.items()]

    frozen = None
    if has_references(signature.graph):
        frozen = freeze_signature(source.path, GRAPH_FILE, name)

    def call(x: Any) -> Any:
        # Through `loaded`, which owns the variables and must live as long as this.
        tensors = x if isinstance(x, (list, tuple)) else [x]
        function = frozen or loaded.signatures[name]
        return function(**dict(zip(keys, tensors, strict=True)))

    names = tuple(sorted(signature.structured_outputs))
    return check_model(source, SAVED_MODEL, None, call, input_specs, names)


def _choose_signature(path: Path, names: Collection[str]) -> str:
    """Name of the signature that is converted; "" where there is none.

    Raises:
        ConversionError: There are several, and none is the one that serves by default.
    """
    if _DEFAULT in names or len(names) < 2:
        return _DEFAULT if _DEFAULT in names else next(iter(names), "")
    first = sorted(names)[0]
    raise ConversionError(
        f"{path}: the SavedModel has several signatures and none of them is called {_DEFAULT}: "
        f"{quote_names(sorted(names))}; kedge does not choose between them",
        "Save the one that you mean as the default: m = tf.saved_model.load(folder); "
        f"tf.saved_model.save(m, other, signatures={{{_DEFAULT!r}: m.signatures[{first!r}]}})",
    )
