"""Names of the inputs and outputs of a .tflite: those that its signature gives them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from converters.data.names import INPUT_NAME, OUTPUT_NAME, plain_names
from converters.tflite.unpacked import UnpackedModel


@dataclass(frozen=True)
class FileNames:
    """Names of the inputs and outputs of a file, in the file's order."""

    inputs: tuple[str, ...]
    """Names of the inputs by its signature, where it has one, else by its tensors."""
    outputs: tuple[str, ...]
    """Names of the outputs by its signature, where it has one, else by its tensors."""


def file_names(model: UnpackedModel) -> FileNames:
    """Return the names of the inputs and outputs of a file."""
    signatures = model.model.signatureDefs or []
    inputs = _by_tensor(signatures[0].inputs) if signatures else {}
    outputs = _by_tensor(signatures[0].outputs) if signatures else {}
    return FileNames(
        tuple(inputs.get(tensor, model.name(tensor)) for tensor in model.inputs),
        tuple(outputs.get(tensor, model.name(tensor)) for tensor in model.outputs),
    )


def rename_inputs_outputs(content: bytes) -> bytes:
    """Call the inputs and outputs of a file by their plain names, as tensors and in its signature.

    So they have equal names whatever the recipe, and a model.toml fits every file. The converter
    puts outputs into an order of its own; the names, which its signature keeps, tell which is
    which.

    Args:
        content: A .tflite.

    Returns:
        The .tflite with the names of `converters.data.names.plain_names`.
    """
    model = UnpackedModel(content)
    names_before = file_names(model)
    for tensors, names, single in (
        (model.inputs, names_before.inputs, INPUT_NAME),
        (model.outputs, names_before.outputs, OUTPUT_NAME),
    ):
        for tensor, name in zip(tensors, plain_names(names, single), strict=True):
            model.tensors[tensor].name = name.encode()
    for signature in (model.model.signatureDefs or [])[:1]:
        for entry in (*signature.inputs, *signature.outputs):
            entry.name = model.name(entry.tensorIndex).encode()
    return model.pack()


def copy_names(content: bytes, original: bytes) -> bytes:
    """Call the input and the output of a file what those of another file are called.

    Args:
        content: A .tflite.
        original: The .tflite that it was made from. Names of several inputs or outputs are plain in
            both, so that they stay.

    Returns:
        The .tflite with these names.
    """
    model, other = UnpackedModel(content), UnpackedModel(original)
    tensors = [*model.inputs, *model.outputs]
    others = [*other.inputs, *other.outputs]
    if len(tensors) != 2 or list(map(model.name, tensors)) == list(map(other.name, others)):
        return content
    for tensor, place in zip(tensors, others, strict=True):
        model.tensors[tensor].name = other.tensors[place].name
    return model.pack()


def _by_tensor(entries: Any) -> dict[int, str]:
    return {
        int(entry.tensorIndex): entry.name.decode() if isinstance(entry.name, bytes) else entry.name
        for entry in entries or []
    }
