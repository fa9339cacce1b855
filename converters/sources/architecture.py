"""The layers that a Keras file says it has, read from its JSON before any of it is brought to life.

Keras turns a Lambda layer's bytes back into a Python function: code out of a file. So the layers
are looked at first, and one that is no layer of Keras is named instead of half loaded.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

#: Classes of layers that stand for TensorFlow functions in the graph of a tf-keras model.
_TF_OP_LAYERS = {"TFOpLambda", "SlicingOpLambda", "TensorFlowOpLayer", "ClassMethod"}
#: Models as layers, wherever they are registered.
_MODELS = {"Functional", "Sequential", "Model"}


@dataclass(frozen=True)
class StoredLayer:
    """A layer as a file describes it."""

    name: str
    """Name in the model."""
    class_name: str
    """Name of its class."""
    module: str
    """Module of the class; "" where the file does not say."""


def stored_layers(config: Any) -> Iterator[StoredLayer]:
    """Every layer of a model's JSON, those of nested models and wrappers included.

    Args:
        config: The model's `{"class_name": …, "config": …}`; anything else yields nothing.
    """
    if not isinstance(config, dict) or not isinstance(config.get("class_name"), str):
        return
    inner = config.get("config")
    name = inner.get("name", "") if isinstance(inner, dict) else ""
    yield StoredLayer(str(name), config["class_name"], str(config.get("module") or ""))
    if not isinstance(inner, dict):
        return
    children = inner.get("layers", [])
    for child in [*(children if isinstance(children, list) else []), inner.get("layer")]:
        yield from stored_layers(child)


def find_lambda(layers: Collection[StoredLayer]) -> StoredLayer | None:
    """The first layer that is Python code in the file, or None."""
    return next((layer for layer in layers if layer.class_name == "Lambda"), None)


def find_custom(layers: Collection[StoredLayer], of_keras: Collection[str]) -> StoredLayer | None:
    """The first layer that Keras does not bring, or None.

    Args:
        layers: Layers that the file describes.
        of_keras: Class names of the layers that Keras brings.
    """
    return next((layer for layer in layers if not _is_built_in(layer, of_keras)), None)


def _is_built_in(layer: StoredLayer, of_keras: Collection[str]) -> bool:
    if layer.module:
        return layer.module.split(".")[0] in ("keras", "tf_keras")
    return layer.class_name in of_keras or layer.class_name in _TF_OP_LAYERS | _MODELS
