"""What to do with a model that takes text: boards get numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from converters.errors import ConversionError
from converters.sources.architecture import StoredLayer, dicts_and_lists

#: Layers of Keras that turn text into numbers.
TEXT_LAYERS = frozenset({"Hashing", "StringLookup", "TextVectorization"})

#: Names that may stand in lines of Python that a user copies: a file's author chooses them.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_.-]{1,80}")

#: The layers of a Sequential behind its first one.
SEQUENTIAL = (
    "keras.Sequential([keras.Input(layer.output.shape[1:], dtype=layer.output.dtype), "
    "*model.layers[1:]])"
)


def numbers_hint(layer: str = "") -> str:
    """Say how to cut a model off behind the layer that turns text into numbers.

    Args:
        layer: Name of that layer; "" where it is not known.
    """
    is_plain = _PLAIN_NAME.fullmatch(layer) is not None
    name = layer if is_plain else "NAME"
    which = "" if is_plain else " NAME is the name of the last layer of that kind."
    return (
        "Runtimes on boards have no text and no lookup tables: do that before, and give the model "
        f"from the numbers on.{which} In Python, with tf_keras instead of keras for a model of "
        "tf-keras:"
        "\n    import keras"
        '\n    model = keras.models.load_model("model.keras")'
        f'\n    layer = model.get_layer("{name}")'
        '\n    keras.Model(layer.output, model.output).save("numbers.keras")'
        "\n    numbers = keras.Model(layer.input, layer.output).predict(texts)"
        "\nHere texts is a tensor of what the layer takes. Convert numbers.keras, with the numbers "
        f"as x. Of a Sequential, save {SEQUENTIAL} instead."
    )


def text_layer(layers: Iterable[StoredLayer]) -> str:
    """Name of the last layer of a model that turns text into numbers; "" where there is none."""
    names = {layer.class_name: layer.name for layer in layers if layer.class_name in TEXT_LAYERS}
    # A TextVectorization holds a StringLookup, which a folder lists as well.
    return names.get("TextVectorization") or next(reversed(names.values()), "")


def refuse_text(path: Path, config: Any, layers: Iterable[StoredLayer]) -> None:
    """Refuse a Keras model whose JSON declares an input of text.

    Args:
        path: File of the model.
        config: JSON of the model.
        layers: Layers of the model.

    Raises:
        ConversionError: An input is text; the user cuts the model off behind its text layers.
    """
    for item in dicts_and_lists(config):
        if not isinstance(item, dict) or item.get("class_name") != "InputLayer":
            continue
        inner = item.get("config")
        if isinstance(inner, dict) and inner.get("dtype") == "string":
            raise text_refusal(path, f"input {str(inner.get('name', ''))[:80]!r}", layers)


def text_refusal(path: Path, what: str, layers: Iterable[StoredLayer]) -> ConversionError:
    """Return the error to raise about an input of text.

    Args:
        path: File or folder of the model.
        what: Words for the input.
        layers: Layers of the model, as far as they are known.
    """
    return ConversionError(
        f"{path}: its {what} is text, expected numbers", numbers_hint(text_layer(layers))
    )
