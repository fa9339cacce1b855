"""Names of the inputs and outputs of a .tflite: those that its signature gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from converters.data.names import INPUT_NAME, OUTPUT_NAME, plain_names
from converters.tflite.unpacked import Unpacked


@dataclass(frozen=True)
class FileEnds:
    """What the inputs and outputs of a file are called, in the file's order."""

    inputs: tuple[str, ...]
    """By its signature, where it has one, else by its tensors."""
    outputs: tuple[str, ...]
    """The same."""


def ends_of(model: Unpacked) -> FileEnds:
    """What the inputs and outputs of a file are called."""
    signatures = model.model.signatureDefs or []
    taken = _by_tensor(signatures[0].inputs) if signatures else {}
    given = _by_tensor(signatures[0].outputs) if signatures else {}
    return FileEnds(
        tuple(taken.get(tensor, model.name(tensor)) for tensor in model.inputs),
        tuple(given.get(tensor, model.name(tensor)) for tensor in model.outputs),
    )


def with_end_names(content: bytes) -> bytes:
    """A file that calls its inputs and outputs as the model does, as tensors and in its signature.

    So they have the same names whatever the recipe, and a model.toml fits them all. The converter
    puts outputs into an order of its own; the names, which its signature keeps, tell which is
    which.

    Args:
        content: A .tflite.
    """
    model = Unpacked(content)
    found = ends_of(model)
    for tensors, names, alone in (
        (model.inputs, found.inputs, INPUT_NAME),
        (model.outputs, found.outputs, OUTPUT_NAME),
    ):
        for tensor, name in zip(tensors, plain_names(names, alone), strict=True):
            model.tensors[tensor].name = name.encode()
    for signature in (model.model.signatureDefs or [])[:1]:
        for entry in (*signature.inputs, *signature.outputs):
            entry.name = model.name(entry.tensorIndex).encode()
    return model.packed()


def _by_tensor(entries: Any) -> dict[int, str]:
    return {
        int(entry.tensorIndex): entry.name.decode() if isinstance(entry.name, bytes) else entry.name
        for entry in entries or []
    }
