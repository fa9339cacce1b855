"""Kinds of model that may be given: how each is recognised and loaded, and words for it.

Everything else about kinds is derived from `SOURCES`. Recognising a model brings nothing of it to
life, and loads neither TensorFlow nor a runtime: the parent process does it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from converters.errors import ConversionError
from converters.foreign_files import describe_file
from converters.sources.source_file import (
    KERAS_3,
    ONNX,
    PT2,
    SAVED_MODEL,
    TF_KERAS,
    TFLITE,
    TORCH_FUNCTION,
    SourceFile,
)


@dataclass(frozen=True)
class Source:
    """One kind of model."""

    recogniser: str
    """Function that takes a path and returns a `SourceFile`, or None for another kind; as
    "module:name"."""
    loader: str
    """Function that takes a `SourceFile` and the user's own layers and returns a `LoadedModel`; as
    "module:name"."""
    words: str
    """Words for hints: what the user may give."""
    suffixes: tuple[str, ...] = ()
    """Ends of the names of its files."""
    untrainable: str = ""
    """Words for messages about a model that cannot be trained; "" where the kind can be."""

    @property
    def may_train(self) -> bool:
        """Whether a recipe that trains takes it."""
        return not self.untrainable

    def recognise(self, path: Path) -> SourceFile | None:
        """Look whether a path holds a model of this kind; None where it does not.

        Raises:
            ConversionError: It is of this kind, and damaged or not to be converted.
        """
        file: SourceFile | None = function_at(self.recogniser)(path)
        return file


_KERAS = Source(
    "converters.sources.keras:recognise_keras",
    "converters.sources.keras:load_keras",
    "a tf-keras or Keras 3 model (.h5, .keras)",
    (".h5", ".keras"),
)

#: Kind of model to what is known about it; the first that recognises a path decides.
SOURCES: dict[str, Source] = {
    # First: it is the only kind that is no file.
    TORCH_FUNCTION: Source(
        "converters.sources.torch_model:recognise_torch_function",
        "converters.sources.torch_model:load_torch_function",
        "a module:function that returns a torch module",
    ),
    PT2: Source(
        "converters.sources.torch_model:recognise_pt2",
        "converters.sources.torch_model:load_pt2",
        "a .pt2 of torch.export",
        (".pt2",),
    ),
    TF_KERAS: _KERAS,
    KERAS_3: _KERAS,
    SAVED_MODEL: Source(
        "converters.sources.saved_model:recognise_saved_model",
        "converters.sources.saved_model:load_saved_model",
        "a SavedModel folder",
        untrainable="a SavedModel whose Keras layers cannot be read (it has none, has layers that "
        "Keras does not bring, or was saved before TensorFlow 2.5)",
    ),
    TFLITE: Source(
        "converters.sources.tflite:recognise_tflite",
        "converters.sources.tflite:load_tflite",
        "a float .tflite",
        (".tflite",),
    ),
    ONNX: Source(
        "converters.sources.onnx:recognise_onnx",
        "converters.sources.onnx:load_onnx",
        "a float .onnx",
        (".onnx",),
    ),
}

_DISTINCT = tuple(dict.fromkeys(SOURCES.values()))
*_FIRST, _LAST = (source.words for source in _DISTINCT)
#: Hint for what is no model: the kinds that may be given.
GIVE_A_MODEL = f"Give {', '.join(_FIRST)} or {_LAST}"
#: Ends of names of models; no data is called so.
MODEL_SUFFIXES = tuple(suffix for source in _DISTINCT for suffix in source.suffixes)


def identify(path: Path) -> SourceFile:
    """Find out by its content what kind of model a path holds.

    Raises:
        ConversionError: It is no model, only weights, has a Lambda layer, or is a .tflite that
            was quantized already.
    """
    for source in _DISTINCT:
        file = source.recognise(path)
        if file is not None:
            return file
    if path.is_dir():
        raise ConversionError(f"{path}: is a folder without saved_model.pb", GIVE_A_MODEL)
    what, hint = describe_file(path)
    if path.suffix == ".py":
        hint = f"Name a function in it that returns a torch module and an input: {path.stem}:make."
    raise ConversionError(f"{path}: is not a model: it is {what}", hint or GIVE_A_MODEL)


def function_at(path: str) -> Any:
    """Import a function that is given as "module:name"."""
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)
