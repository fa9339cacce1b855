"""A draft of a recipe that trains as bytes: its graph and its other values."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import numpy as np

from converters import durable
from converters.data.array_file import check_array_sizes
from converters.draft.draft import Draft, Materials
from converters.graph.keras.model import KerasModel
from converters.graph.node import Graph, Node

#: Bytes of weights for each byte of their file; it is not compressed.
_MOST_RATIO = 2
_PLAIN, _WEIGHTS, _MODEL = "draft.json", "weights.npz", "model.keras"
#: Fields of a draft that are not plain data; a step that trains leaves none of them but the graph.
_OBJECTS = ("source", "graph", "calibration", "content")


def draft_parts(draft: Draft) -> dict[str, bytes]:
    """The parts of a draft that is not quantized, for `Cache.put`."""
    graph = draft.graph
    assert graph is not None
    plain = {
        "draft": {f.name: getattr(draft, f.name) for f in fields(Draft) if f.name not in _OBJECTS},
        "name": graph.name,
        "nodes": [asdict(node) for node in graph.nodes],
        "outputs": graph.outputs,
        "weights": [[key, list(arrays)] for key, arrays in graph.weights.items()],
    }
    arrays = [array for arrays in graph.weights.values() for array in arrays.values()]
    weights = io.BytesIO()
    np.savez(weights, *arrays)
    text = json.dumps(plain, default=lambda number: np.asarray(number).item())
    return {_PLAIN: text.encode(), _WEIGHTS: weights.getvalue()}


def draft_of(parts: Mapping[str, bytes], materials: Materials) -> Draft:
    """The draft that `draft_parts` took apart.

    Args:
        parts: Parts of a cache entry, which nobody has to trust: JSON and arrays of numbers. No
            class, module or function is looked up by a name in them.
        materials: Materials of every step.

    Raises:
        ValueError, LookupError, TypeError, ConversionError: The parts are damaged, or their graph
            is none that can be built.
    """
    plain: dict[str, Any] = json.loads(parts[_PLAIN])
    check_array_sizes(io.BytesIO(parts[_WEIGHTS]), _MOST_RATIO * len(parts[_WEIGHTS]))
    with np.load(io.BytesIO(parts[_WEIGHTS]), allow_pickle=False) as stored:
        arrays = iter([stored[f"arr_{number}"] for number in range(len(stored.files))])
    weights = {key: {name: next(arrays) for name in names} for key, names in plain["weights"]}
    nodes = tuple(Node(**{name: _frozen(v) for name, v in n.items()}) for n in plain["nodes"])
    graph = Graph(plain["name"], nodes, tuple(plain["outputs"]), weights)
    values = {**plain["draft"], "warnings": tuple(plain["draft"]["warnings"])}
    draft = Draft(materials.source, graph, **values)
    if draft.keras_model is None:
        raise ValueError("its graph has no model")
    return draft


def _frozen(value: Any) -> Any:
    """A value of JSON with tuples in the place of lists."""
    if isinstance(value, dict):
        return {name: _frozen(inner) for name, inner in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


def keras_bytes(model: KerasModel) -> bytes:
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
