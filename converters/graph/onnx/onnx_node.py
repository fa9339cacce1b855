"""One node of an ONNX model, as plain data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: Most characters of a node's name. Names of torch's exporter are paths of hundreds of them.
_MOST_CHARACTERS = 60
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9]+")
_EXPORTER_WORDS = re.compile(r"^node_|_output_0$|__\d+$|/MatMulAddFusion$")


@dataclass(frozen=True)
class OnnxNode:
    """One node of an ONNX model."""

    name: str
    """Name for the nodes of the graph that are made of it: short, unique and of plain letters."""
    label: str
    """Name that the file gives it, or its first output's: messages use it."""
    kind: str
    """Op, such as "Conv"."""
    inputs: tuple[str, ...]
    """Names of the tensors that it takes; "" for an optional one that is absent."""
    outputs: tuple[str, ...]
    """Names of the tensors that it gives; "" for one that nobody takes."""
    attributes: Mapping[str, Any]
    """Attributes as plain numbers, text, lists and tensors; an absent one has the default of
    ONNX's schema wherever it is read."""
    opset: int
    """Version of ONNX's ops that the file uses."""

    def input(self, place: int) -> str:
        """Name of the tensor at a place of the inputs; "" where it is absent."""
        return self.inputs[place] if place < len(self.inputs) else ""

    def output(self, place: int) -> str:
        """Name of the tensor at a place of the outputs; "" where nobody takes it."""
        return self.outputs[place] if place < len(self.outputs) else ""

    def number(self, name: str, default: float) -> float:
        """An attribute that is a number."""
        return float(self.attributes.get(name, default))

    def whole(self, name: str, default: int) -> int:
        """An attribute that is a whole number."""
        return int(self.attributes.get(name, default))

    def wholes(self, name: str) -> tuple[int, ...] | None:
        """An attribute that is a list of whole numbers; None where it is absent."""
        values = self.attributes.get(name)
        return None if values is None else tuple(int(value) for value in values)

    def text(self, name: str, default: str) -> str:
        """An attribute that is text."""
        value = self.attributes.get(name, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def plain_name(name: str, names: set[str]) -> str:
    """Make a short name of plain letters of a name of ONNX, and remember it.

    Args:
        name: Name of a node or tensor in the file; may be a path.
        names: Names that others have; the new one is added.
    """
    plain = _NOT_IN_NAMES.sub("_", _EXPORTER_WORDS.sub("", name)).strip("_") or "node"
    plain = plain[-_MOST_CHARACTERS:].strip("_")
    if plain[0].isdigit():
        plain = f"n{plain}"
    free, number = plain, 1
    while free in names:
        free, number = f"{plain}_{number}", number + 1
    names.add(free)
    return free
