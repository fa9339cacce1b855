"""A draft as bytes: its tf-keras model and what is to be known about it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import tf_keras

from converters import durable
from converters.draft.draft import Draft, Materials, with_model
from converters.graph import build

_PLAIN, _MODEL = "draft.json", "model.keras"
#: What is no plain data; none of it outlives a step that trains, but the model.
_OBJECTS = ("function", "keras_model", "calibration", "plain_model", "content")


def draft_parts(draft: Draft) -> dict[str, bytes]:
    """The parts of a draft of a float tf-keras model, for `Cache.put`."""
    plain = {f.name: getattr(draft, f.name) for f in fields(Draft) if f.name not in _OBJECTS}
    return {_PLAIN: json.dumps(plain).encode(), _MODEL: keras_bytes(draft.keras_model)}


def draft_of(parts: Mapping[str, bytes], materials: Materials) -> Draft:
    """The draft that `draft_parts` took apart."""
    plain: dict[str, Any] = json.loads(parts[_PLAIN])
    plain["warnings"] = tuple(plain["warnings"])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / _MODEL
        path.write_bytes(parts[_MODEL])
        assert build.LAYERS  # imported: its functions are registered for loading
        model = tf_keras.models.load_model(str(path), compile=False)
    empty = Draft(None, None)
    return with_model(replace(empty, **plain), model, materials)


def keras_bytes(model: Any) -> bytes:
    """A tf-keras model as the content of a .keras file.

    Raises:
        HostDiskError: The disk is full or read-only.
    """
    with (
        durable.translate_errors(Path(tempfile.gettempdir())),
        tempfile.TemporaryDirectory() as folder,
    ):
        path = Path(folder) / _MODEL
        model.save(str(path))
        return path.read_bytes()
