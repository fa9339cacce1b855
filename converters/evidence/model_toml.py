"""`model.toml` beside a .tflite: what goes into the model and what comes out, to be edited."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import ParseError, TOMLKitError

from converters import durable
from converters.errors import ConversionError
from converters.evidence.model_card import check_card, kind_of
from converters.model_file import ModelFile
from converters.out_folder import read_together
from device_agent.contract.model_card import (
    ACTIVATIONS,
    COLORS,
    FITS,
    LAYOUTS,
    RESIZES,
    SCHEMA,
    TASKS,
    CardError,
    ImageInput,
    Input,
    ModelCard,
    Output,
    card_from_plain,
)

MODEL_TOML = "model.toml"
#: Name of the file that a conversion writes beside one that a person edited.
NEW_MODEL_TOML = "model.toml.new"

#: Largest size of a file of labels; those of ImageNet's 21,841 classes take half a MiB.
_MOST_LABEL_BYTES = 16 << 20

_HINT = "Correct the line; docs/run.md describes every key."
_SIGNED = "# Written by kedge; edit it, and the next conversion leaves it alone. "
_HEADER = re.compile(r"\s*\[[^\[\]]+\]\s*(#.*)?\Z")
_KEY = re.compile(r"""\s*([A-Za-z0-9_-]+|"[^"]*"|'[^']*')\s*=""")


class ModelTomlError(ConversionError):
    """`model.toml` is not right: nothing was sent."""

    exit_code = 3


def card_beside(model: ModelFile) -> ModelCard | None:
    """Read `model.toml` in the folder of a .tflite, if there is one.

    Raises:
        ModelTomlError: The file cannot be read, or does not fit the model.
        IntegrityError: A conversion died while it replaced the files of this folder.
    """
    path = model.path.parent / MODEL_TOML
    with read_together(path.parent):
        return read_model_toml(path, model) if path.is_file() else None


def is_edited(path: Path) -> bool:
    """Whether a person wrote or changed a model.toml.

    Raises:
        ModelTomlError: The file cannot be read.
    """
    return not _is_ours(_text_of(path))


def read_model_toml(path: Path, model: ModelFile | None) -> ModelCard:
    """Read a card and check that it is about this file.

    Args:
        path: model.toml.
        model: The .tflite; None where there is none yet, so that nothing is compared with it.

    Raises:
        ModelTomlError: A line is wrong; the message names it, what was found and what is expected.
    """
    text = _text_of(path)
    try:
        plain = tomlkit.parse(text).unwrap()
    except ParseError as error:
        raise ModelTomlError(
            f"{path}, line {error.line}: is not valid TOML: {error}", _HINT
        ) from error
    except TOMLKitError as error:
        raise ModelTomlError(f"{path}: is not valid TOML: {error}", _HINT) from error
    try:
        card = card_from_plain(_with_labels(plain, path.parent))
        if model is not None:
            check_card(card, model)
    except CardError as error:
        raise ModelTomlError(
            f"{path}, line {line_of(text, error.where)}: {error}", _HINT
        ) from error
    return card


def label_files(path: Path) -> tuple[str, ...]:
    """Return the files of labels that a card names, relative to its folder.

    Args:
        path: model.toml that `read_model_toml` accepts.

    Raises:
        ModelTomlError: The file cannot be read.
    """
    outputs = tomlkit.parse(_text_of(path)).unwrap().get("outputs", {})
    names = (entry.get("labels_file", entry.get("labels")) for entry in outputs.values())
    return tuple(dict.fromkeys(name for name in names if isinstance(name, str)))


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise ModelTomlError(f"{path}: cannot be read: {error.strerror}", "Check it.") from error
    except UnicodeDecodeError as error:
        raise ModelTomlError(f"{path}: is not text in UTF-8", "Save it as UTF-8") from error


def _with_labels(plain: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The same, with the file that `labels` or `labels_file` names read into `labels`."""
    outputs = plain.get("outputs")
    for name, entry in outputs.items() if isinstance(outputs, dict) else ():
        if not isinstance(entry, dict):
            continue
        key = "labels_file" if "labels_file" in entry else "labels"
        file, where = entry.get(key), ("outputs", name, key)
        if key == "labels" and not isinstance(file, str):
            continue  # a list, or a mistake that is told where all are
        if key == "labels_file" and "labels" in entry:
            raise CardError(where, "give labels or labels_file, not both")
        if not isinstance(file, str):
            raise CardError(where, f"must be the name of a text file, found {file!r}")
        del entry[key]
        entry["labels"] = _read_labels(folder, file, where)
    return plain


def _read_labels(folder: Path, file: str, where: tuple[str, ...]) -> list[str]:
    """Read a file of labels, which a stranger may have named: only one that came with the card."""
    path = folder / file
    try:
        is_outside = not path.resolve().is_relative_to(folder.resolve())
        is_odd = path.exists() and not path.is_file()
        if is_outside or is_odd or path.stat().st_size > _MOST_LABEL_BYTES:
            text = None
        else:
            text = path.read_text(encoding="utf-8")
    except (OSError, ValueError, RuntimeError) as error:
        raise CardError(where, f"{path} cannot be read: {error}") from error
    if is_outside:
        reason = f"leads out of the folder of {MODEL_TOML}: put a copy of the file there"
    elif is_odd:
        reason = "is no file"
    else:
        reason = f"is larger than {_MOST_LABEL_BYTES >> 20} MiB"
    if text is None:
        raise CardError(where, f"{file!r} {reason}")
    return text.rstrip("\n").split("\n")


def line_of(text: str, where: Sequence[str]) -> int:
    """The line, from 1, of a key; of the nearest table above it where it has none of its own."""
    table: tuple[str, ...] = ()
    best, depth = 1, 0
    for number, line in enumerate(text.splitlines(), start=1):
        key = _KEY.match(line)
        if _HEADER.match(line):
            table = _names(line)
            here = table
        elif key:
            here = (*table, key[1].strip("\"'"))
        else:
            continue
        common = min(len(here), len(where))
        if here[:common] == tuple(where[:common]) and common > depth:
            best, depth = number, common
    return best


def _names(header: str) -> tuple[str, ...]:
    names = []
    try:
        inside: Any = tomlkit.parse(header).unwrap()
    except TOMLKitError:  # a line of a text that looks like one
        return ()
    while inside:
        (name,) = inside
        names.append(str(name))
        inside = inside[name]
    return tuple(names)


def card_text(card: ModelCard) -> str:
    """Return the text of a card, which a person reads and edits."""
    lines = [f"schema = {SCHEMA}"]
    if card.streaming:
        lines.append("streaming = true  # samples are the steps of one stream, in order")
    for name, entry in card.inputs.items():
        lines += ["", _table("inputs", name), *_input_lines(entry)]
    for name, output in card.outputs.items():
        lines += ["", _table("outputs", name), *_output_lines(output)]
    return "\n".join(lines) + "\n"


def _table(side: str, name: str) -> str:
    return f"[{side}.{tomlkit.key(name).as_string()}]"


def _input_lines(entry: Input) -> list[str]:
    kind = f'kind = "{kind_of(entry)}"'
    if not isinstance(entry, ImageInput):
        if entry.resized_from is not None:
            return [
                kind + "  # real numbers; an application resizes them for the smaller input",
                *([] if entry.axes is None else [f"axes = {entry.axes}"]),
                f"resized_from = {entry.resized_from}  # by the mean over the covered area",
            ]
        if entry.axes is None:
            return [kind + "  # real numbers, fed as they are"]
        axes = ", ".join(str(axis + 1) for axis in entry.axes)
        return [
            kind + "  # real numbers; the file takes the channels last",
            f"# of the arrays of the training, an application feeds x.transpose(0, {axes})",
            f"axes = {entry.axes}",
        ]
    pairs: Mapping[str, Any] = {"scale": entry.scale, "offset": entry.offset}
    formula = "real value = pixel * scale + offset"
    if entry.mean is not None:
        pairs = {"mean": entry.mean, "std": entry.std}
        formula = "real value = (pixel - mean) / std"
    return [
        kind,
        f"height = {entry.height}",
        f"width = {entry.width}",
        _choice("layout", entry.layout, LAYOUTS),
        _choice("color", entry.color, tuple(COLORS)),
        _choice("fit", entry.fit, FITS),
        _choice("resize", entry.resize, RESIZES),
        *([f"pad = {entry.pad}"] if entry.fit == "letterbox" else []),
        f"exif = {str(entry.exif).lower()}  # files are turned as their EXIF orientation says",
        *([f"white = {entry.white}"] if entry.white else []),
        f"# {formula}, with pixels from 0 to 255",
        *(f"{name} = {tomlkit.item(value).as_string()}" for name, value in pairs.items()),
    ]


def _output_lines(output: Output) -> list[str]:
    lines = [
        _choice("task", output.task, TASKS),
        _choice("activation", output.activation, ACTIVATIONS) + ", applied here",
    ]
    if output.task == "classification":
        lines += [f"top_k = {output.top_k}", f"threshold = {output.threshold}"]
    if output.labels:
        labels = [f"    {tomlkit.item(label).as_string()}," for label in output.labels]
        lines += ["labels = [", *labels, "]"]
    return lines


def _choice(name: str, value: str, allowed: Sequence[str]) -> str:
    return f'{name} = "{value}"  # {", ".join(allowed)}'


def write_model_toml(work: Path, out: Path, card: ModelCard) -> tuple[str, ...]:
    """Write a card into `work`, to be moved to `out`: what a person edited there stays.

    A file of kedge is signed in its first line with the digest of the others; one whose digest does
    not fit was edited, and the new one goes beside it.

    Returns:
        Warnings for the user, one sentence each.

    Raises:
        HostDiskError: The disk is full or read-only.
    """
    text = card_text(card)
    edited = out / MODEL_TOML
    if not edited.exists() or _is_ours(_text_of(edited)):
        durable.write(work / MODEL_TOML, _signed(text).encode())
        return ()
    if _text_of(edited).partition("\n")[2] == text:
        return ()
    durable.write(work / NEW_MODEL_TOML, _signed(text).encode())
    return (
        f"{edited} was edited and is kept; what is true for this conversion is in {NEW_MODEL_TOML} "
        "beside it",
    )


def _signed(text: str) -> str:
    return f"{_SIGNED}{_digest(text)}\n{text}"


def _is_ours(text: str) -> bool:
    first, _, rest = text.partition("\n")
    return first == _SIGNED + _digest(rest)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
