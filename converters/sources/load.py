"""Brings a model to life, whatever kind it is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from converters.sources.kinds import SOURCES, function_at
from converters.sources.load_limits import limit_load
from converters.sources.loaded_model import LoadedModel
from converters.sources.source_file import SourceFile


def load_model(source: SourceFile, own: Mapping[str, Any] | None = None) -> LoadedModel:
    """Bring a model to life and check that it is one that kedge converts.

    Args:
        source: File or folder of the model.
        own: The user's own layers by their names.

    Raises:
        ConversionError: It has layers that Keras does not bring, an input that is not float32, or
            one of a dynamic shape; the message names what.
    """
    load = function_at(SOURCES[source.kind].loader)
    with limit_load(source):
        model: LoadedModel = load(source, own or {})
    return model
