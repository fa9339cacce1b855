"""What a file is that is not what was expected: one table for models, data and .tflite files."""

from __future__ import annotations

import json
import pickletools
import zipfile
from collections.abc import Sequence
from pathlib import Path

_KERAS = "Convert it with `kedge convert`, which writes a .tflite."
_NEEDS_WEIGHTS = (
    "Save the whole model with `model.save('model.keras')`: layers and weights in one file."
)
#: Lines by which a user makes the file of PyTorch that kedge takes.
PT2_LINES = (
    "\n    import torch"
    "\n    program = torch.export.export(model.eval(), (example,))"
    '\n    torch.export.save(program, "model.pt2")'
    "\nHere example is an input of the model, a batch of one sample."
)
_PT2 = f"Make a .pt2 of it, which holds the layers and no code:{PT2_LINES}"
_PYTORCH = f"A pickle runs Python code when it is read, so kedge reads none. {_PT2}"
_STATE_DICT = (
    "kedge cannot guess the class of the model. Make the model in Python, "
    f"`model.load_state_dict(torch.load(file))`. {_PT2}"
)
_ONNX = "Convert it with `kedge convert MODEL`, or measure it with `kedge bench`."
_UNPACK = "Unpack it and give what is inside."

#: First bytes of a file to what the file is and the next step; the first that fits counts.
_HEADS: tuple[tuple[bytes, str, str], ...] = (
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, such as a Keras model or its weights", _KERAS),
    (b"\x1f\x8b", "a gzip file", _UNPACK),
    (b"BZh", "a bzip2 file", _UNPACK),
    (b"\xfd7zXZ\x00", "an xz file", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "a zstd file", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!", "a RAR archive", _UNPACK),
    (
        b"\x93NUMPY",
        "an .npy of one array",
        "Put arrays into an .npz: np.savez(file, x_train=…, …).",
    ),
    (b"\x89PNG", "a PNG picture", "Give a folder of pictures, one sub-folder a class."),
    (b"\xff\xd8\xff", "a JPEG picture", "Give a folder of pictures, one sub-folder a class."),
    (b"GGUF", "a GGUF file of a language model", "kedge takes Keras models, not this format."),
    (b"PAR1", "a Parquet table", "Read it with pandas and save arrays with np.savez."),
    (b"SQLite format 3", "an SQLite database", "Read it and save arrays with np.savez."),
    (b"%PDF", "a PDF document", "Check the path."),
    (b"\x7fELF", "a program or library", "Check the path."),
    (
        b"version https://git-lfs",
        "a pointer of Git LFS, not the file itself",
        "Run `git lfs pull`.",
    ),
    (b"<!DOCTYPE", "a web page", "Download the file itself: this is a page about it, or an error."),
    (b"<!doctype", "a web page", "Download the file itself: this is a page about it, or an error."),
    (b"<html", "a web page", "Download the file itself: this is a page about it, or an error."),
    (b"\x80\x02", "a Python pickle, such as a PyTorch or scikit-learn model", _PYTORCH),
    (b"\x80\x03", "a Python pickle, such as a PyTorch or scikit-learn model", _PYTORCH),
    (b"\x80\x04", "a Python pickle, such as a PyTorch or scikit-learn model", _PYTORCH),
    (b"\x80\x05", "a Python pickle, such as a PyTorch or scikit-learn model", _PYTORCH),
)
#: Modules of what weights are pickled as; those of layers are of other ones.
_WEIGHT_CLASSES = frozenset(("collections", "torch._utils", "torch", "numpy"))
_HEAD_BYTES = 512
#: Most bytes of a text that is looked at to find out what it is.
_MOST_TEXT = 2**22
_SAFETENSORS_LENGTH = 8


def describe_file(path: Path) -> tuple[str, str]:
    """Say what a file is, by its content.

    Args:
        path: A file that can be read.

    Returns:
        Kind of the file, such as "a PyTorch file", and the next step for the user, ""
        where the file is nothing that is known.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        return "empty", "Check the path, and whether the file was copied whole."
    if head.startswith(b"PK"):
        return _describe_zip(path)
    if head[4:8] == b"TFL3":
        return (
            "a .tflite",
            "Convert it with `kedge convert MODEL`, or measure it with `kedge bench`.",
        )
    if head[257:262] == b"ustar":
        return "a tar archive", _UNPACK
    for start, what, hint in _HEADS:
        if head.startswith(start):
            return what, hint
    if head.lstrip()[:1] in (b"{", b"["):
        return _describe_json(path)
    return _describe_by_form(head)


def _describe_by_form(head: bytes) -> tuple[str, str]:
    """Say what a file is that has no fixed first bytes."""
    if _is_safetensors(head):
        return "a safetensors file: weights without layers", _NEEDS_WEIGHTS
    if _is_onnx(head):
        return "an ONNX model", _ONNX
    if _is_frozen_graph(head):
        return (
            "a graph of TensorFlow without its variables or in its frozen form",
            "Give the folder of a SavedModel, or convert it to one in TensorFlow.",
        )
    if _is_text(head):
        return f"a text that begins with {_first_line(head)}", ""
    return f"of an unknown kind: it begins with {head[:8]!r}", ""


def _describe_zip(path: Path) -> tuple[str, str]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile, ValueError):
        return "a zip file that is cut off or damaged", "Copy it again."
    if {"config.json", "metadata.json"} <= set(names):
        return "a Keras model (.keras)", _KERAS
    pickle = next((name for name in names if name.endswith("/data.pkl")), None)
    if pickle is not None:
        return _describe_pytorch(path, pickle, names)
    if names and all(name.endswith(".npy") for name in names):
        return "an .npz of arrays", "Give arrays with --data, and a model as MODEL."
    if any(name.endswith("saved_model.pb") for name in names):
        return "a zip file of a SavedModel", "Unpack it and give the folder of saved_model.pb."
    first_names = ", ".join(names[:3]) or "nothing"
    return f"a zip file with {first_names}", _UNPACK


def _describe_pytorch(path: Path, pickle: str, names: Sequence[str]) -> tuple[str, str]:
    """Tell weights, a whole module and TorchScript apart by what a pickle names; it is not run."""
    if any("/code/" in name for name in names):
        return "a TorchScript file of PyTorch", _PYTORCH
    try:
        with zipfile.ZipFile(path) as archive, archive.open(pickle) as file:
            ops = list(pickletools.genops(file.read(_MOST_TEXT)))
    except (OSError, zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError):
        return "a PyTorch file that is damaged", _PYTORCH
    classes = {str(value).split()[0] for op, value, _ in ops if op.name == "GLOBAL"}
    if classes <= _WEIGHT_CLASSES:
        return "a PyTorch file of weights without layers (a state dict)", _STATE_DICT
    return "a PyTorch file of a whole module, which is a Python pickle", _PYTORCH


def _describe_json(path: Path) -> tuple[str, str]:
    with path.open("rb") as file:
        raw = file.read(_MOST_TEXT)
    try:
        plain = json.loads(raw)
    except (ValueError, RecursionError):
        return "a text that looks like JSON", ""
    if isinstance(plain, dict) and "modelTopology" in plain:
        return "a model of TensorFlow.js", "Give the Keras model that it was made from."
    if isinstance(plain, dict) and "class_name" in plain and "config" in plain:
        return "the architecture of a Keras model as JSON, without weights", _NEEDS_WEIGHTS
    return "a JSON file", ""


def _is_safetensors(head: bytes) -> bool:
    length = int.from_bytes(head[:_SAFETENSORS_LENGTH], "little")
    return head[_SAFETENSORS_LENGTH:][:2] == b'{"' and 2 <= length < 2**32


def is_onnx(path: Path) -> bool:
    """Whether a file that can be read begins as an .onnx."""
    with path.open("rb") as file:
        return _is_onnx(file.read(_HEAD_BYTES))


def _is_onnx(head: bytes) -> bool:
    """Whether it begins as ONNX's ModelProto: its version, then the name of its producer."""
    return head[:1] == b"\x08" and head[2:3] in (b"\x12", b":", b"\x1a", b"B") and len(head) > 8


def _is_frozen_graph(head: bytes) -> bool:
    return head[:1] == b"\n" and any(
        op in head for op in (b"Placeholder", b"Const", b"\x12\x05NoOp")
    )


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return False
        text = head[: error.start].decode("utf-8")
    return all(letter.isprintable() or letter in "\r\n\t" for letter in text)


def _first_line(head: bytes) -> str:
    return repr(
        head.decode("utf-8", "replace").strip().splitlines()[0][:40] if head.strip() else ""
    )
