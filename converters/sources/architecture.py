"""The objects that a Keras file names, read from its JSON before any of it is brought to life.

Keras looks the names up, imports modules and calls functions for them. So every dict that names a
class or a function is looked at first, wherever it stands: the loaders decode more places than
the list of layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

#: Class name of a tuple in JSON; both loaders turn it into one before they look for layers.
_TUPLE = "__tuple__"


@dataclass(frozen=True)
class StoredLayer:
    """A layer, another object or a function as a file describes it."""

    name: str
    """Name in the model; the function's name for a function."""
    class_name: str
    """Name of its class; "function" for a function."""
    module: str
    """Module of the class or function; "" where the file does not say."""
    registered_name: str = ""
    """Name that it was registered by; "" where the file does not say."""

    @property
    def is_function(self) -> bool:
        """Whether it is a function rather than an object of a class."""
        return self.class_name == "function"


def decode_tuples(value: Any) -> Any:
    """A value of JSON with lists in the place of the dicts that stand for tuples.

    Raises:
        RecursionError: It is nested too deeply; no model is.
    """
    if isinstance(value, list):
        return [decode_tuples(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.get("class_name") == _TUPLE:
        items = value.get("items", [])
        return [decode_tuples(item) for item in items] if isinstance(items, list) else []
    return {key: decode_tuples(item) for key, item in value.items()}


def dicts_and_lists(value: Any) -> Iterator[dict[str, Any] | list[Any]]:
    """Every dict and list of a value of JSON, at any depth, each before what it holds."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(reversed(item.values()))
        elif isinstance(item, list):
            yield item
            waiting.extend(reversed(item))


def stored_layers(config: Any) -> Iterator[StoredLayer]:
    """Every object and function that a value of JSON names, at any depth.

    Args:
        config: The model's `{"class_name": …, "config": …}`, its tuples decoded.
    """
    for item in dicts_and_lists(config):
        if isinstance(item, dict) and "class_name" in item:
            yield _stored_layer(item)


def _stored_layer(item: dict[str, Any]) -> StoredLayer:
    inner = item.get("config")
    is_function = item["class_name"] == "function"
    name = inner if is_function else inner.get("name", "") if isinstance(inner, dict) else ""
    return StoredLayer(
        str(name),
        str(item["class_name"]),
        str(item.get("module") or ""),
        str(item.get("registered_name") or ""),
    )
