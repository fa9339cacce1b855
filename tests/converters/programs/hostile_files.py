"""Run as a program in a process of its own: makes hostile models, loads each, and reports.

python -m tests.converters.programs.hostile_files FOLDER

Every hostile model tries to write FOLDER/ran, or to read FOLDER/secret. Beside them stand harmless
models of the same forms. Prints a JSON: name of each model to the words of its refusal that are
expected, to the message, and to its exit code (0 if it loads); and the events that nobody may
cause.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

os.environ["TF_USE_LEGACY_KERAS"] = "1"

import h5py
import keras
import numpy as np
import tf_keras

from converters.errors import ConversionError
from converters.sources.allowed_ops import PURE_OPS
from converters.sources.kinds import identify
from converters.sources.load import load_model
from tests.converters.programs.hostile_configs import Config, controls, evils, forms
from tests.converters.programs.hostile_graphs import (
    change_hdf5,
    write_decoys,
    write_graphs,
    write_session_graphs,
)

FORBIDDEN = (
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "socket.connect",
    "ctypes.dlopen",
)
#: Names of fields by which an op gets the name of a file.
FILE_FIELDS = ("file", "path", "url", "prefix", "descriptor_source", "memory_region", "debug_ops")
VERSIONS = ("2.15.0", "3.9.0")


def base() -> Any:
    layers = tf_keras.layers
    inputs = tf_keras.Input((8, 8, 1), name="inp")
    x = layers.Flatten(name="fl")(inputs)
    return tf_keras.Model(inputs, layers.Dense(10, name="d")(x))


def write_zip(path: Path, parts: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> None:
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)


class Corpus:
    """The folder with every model."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reasons: dict[str, str] = {}
        model = base()
        model.save(folder / "base.keras")
        model.save(folder / "base.h5")
        with zipfile.ZipFile(folder / "base.keras") as archive:
            self.parts = {name: archive.read(name) for name in archive.namelist()}
        self.parts["metadata.json"] = json.dumps({"keras_version": VERSIONS[0]}).encode()
        with h5py.File(folder / "base.h5") as file:
            self.old = json.loads(file.attrs["model_config"])
        self.new = json.loads(self.parts["config.json"])
        self.write_configs()
        self.write_bounds()
        self.write_hdf5()
        self.reasons |= write_graphs(folder)
        self.reasons |= write_session_graphs(folder)
        self.reasons |= write_decoys(folder, model)

    def write_keras(self, name: str, reason: str, **parts: bytes) -> None:
        changes = {key.replace("__", "."): content for key, content in parts.items()}
        write_zip(self.folder / f"{name}.keras", {**self.parts, **changes})
        self.reasons[f"{name}.keras"] = reason

    def write_config(self, name: str, old: Config, new: Config, reason: str) -> None:
        for version in VERSIONS:
            metadata = json.dumps({"keras_version": version}).encode()
            text = json.dumps(new).encode()
            self.write_keras(
                f"{name}_{version[0]}", reason, config__json=text, metadata__json=metadata
            )
        path = self.folder / f"{name}.h5"
        shutil.copy(self.folder / "base.h5", path)
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = json.dumps(old)
        self.reasons[path.name] = reason

    def write_configs(self) -> None:
        old_forms, new_forms = forms(self.old), forms(self.new)
        for form, put in new_forms.items():
            for name, evil in evils(self.folder).items():
                old = old_forms[form](evil.layer)
                self.write_config(f"{name}_{form}", old, put(evil.layer), evil.reason)
        for name, harmless in controls().items():
            for form in ("layer", "tuple"):
                path = self.folder / f"control_{name}_{form}.h5"
                shutil.copy(self.folder / "base.h5", path)
                with h5py.File(path, "r+") as file:
                    file.attrs["model_config"] = json.dumps(old_forms[form](harmless))
                self.reasons[path.name] = ""
            text = json.dumps(new_forms["layer"](harmless)).encode()
            self.write_keras(f"control_{name}_2", "", config__json=text)

    def write_bounds(self) -> None:
        bomb = b'{"a": "' + b" " * 2**26 + b'"}'
        big = {**self.parts, "config.json": bomb}
        write_zip(self.folder / "json_bomb.keras", big, zipfile.ZIP_DEFLATED)
        self.reasons["json_bomb.keras"] = "more than"
        weights = {**self.parts, "model.weights.h5": bytes(2**27)}
        write_zip(self.folder / "zip_bomb.keras", weights, zipfile.ZIP_DEFLATED)
        self.reasons["zip_bomb.keras"] = "bytes when it is unpacked"
        write_zip(self.folder / "packed.keras", self.parts, zipfile.ZIP_DEFLATED)
        self.reasons["packed.keras"] = ""
        deep = b'{"class_name":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
        self.write_keras("deep", "nested too deeply", config__json=deep)
        for name, member in {
            "outside": "../../ran",
            "absolute": str(self.folder / "ran"),
            "asset": "assets/../../ran/vocabulary.txt",
            "other": "assets/layers/a/code.py",
        }.items():
            self.write_keras(f"member_{name}", "has the member", **{member: b"x"})
        self.write_keras(
            "member_vocabulary", "", **{"assets/layers/integer_lookup/vocabulary.txt": b"1\n2\n"}
        )
        content = (self.folder / "base.keras").read_bytes()
        # HDF5 looks for its signature at 512 bytes, 1,024, 2,048 and so on.
        place = 2 ** max(9, (len(content) - 1).bit_length())
        (self.folder / "two_formats.keras").write_bytes(
            content.ljust(place, b"\0") + (self.folder / "base.h5").read_bytes()
        )
        self.reasons["two_formats.keras"] = "is a zip file and an HDF5 file at once"

    def write_hdf5(self) -> None:
        for name, (change, reason) in change_hdf5(self.folder).items():
            path = self.folder / f"hdf5_{name}.h5"
            shutil.copy(self.folder / "base.h5", path)
            with h5py.File(path, "r+") as file:
                group = file["model_weights/d/d"]
                del group["bias:0"]
                change(group, "bias:0")
            self.reasons[path.name] = reason
            buffer = io.BytesIO(self.parts["model.weights.h5"])
            with h5py.File(buffer, "r+") as file:
                group = file["layers/dense/vars"]
                del group["1"]
                change(group, "1")
            weights = {"model.weights.h5": buffer.getvalue()}
            self.write_keras(f"hdf5_{name}", reason, **weights)


def file_ops() -> list[str]:
    """Ops that kedge allows although they get the name of a file."""
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session as session

    ops = op_def_pb2.OpList()
    ops.ParseFromString(session.TF_GetBuffer(session.TF_GetAllOpList()))
    return [
        op.name
        for op in ops.op
        if op.name in PURE_OPS
        for field in (*op.attr, *op.input_arg)
        if any(word in field.name for word in FILE_FIELDS) and field.type != "int"
    ]


def snapshot(folder: Path) -> dict[str, str]:
    """Every file of the folder with the digest of its content."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def main() -> None:
    folder = Path(sys.argv[1])
    tempfile.tempdir = str(folder.with_name("temporary"))
    Path(tempfile.tempdir).mkdir()
    (folder / "secret").write_bytes(np.arange(40, dtype=np.uint8).tobytes())
    corpus = Corpus(folder)
    events: list[str] = []
    current = folder
    packages = Path(np.__file__).parents[1]
    libraries = (str(packages), sys.base_prefix, str(Path(__file__).parents[3]), "/proc", "/sys")

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event in FORBIDDEN:
            events.append(f"{current.name}: {event} {arguments[0]}")
        if event != "open" or not isinstance(arguments[0], str):
            return
        name, mode = arguments[0], arguments[1] or "r"
        is_own = name.startswith((str(current), str(tempfile.tempdir)))
        is_library = name.startswith(libraries) or not name.startswith("/")
        writes = any(sign in mode for sign in "wax+")
        if not is_own and (writes or not is_library):
            events.append(f"{current.name}: open {name} {mode}")

    before = snapshot(folder)
    assert keras.__version__  # it reads a file of the user at its first import
    sys.addaudithook(watch)
    outcomes = {}
    for name, reason in corpus.reasons.items():
        current = folder / name
        try:
            load_model(identify(current))
            outcomes[name] = (reason, "", 0)
        except ConversionError as error:
            outcomes[name] = (reason, str(error), error.exit_code)
    current = folder
    report = {
        "outcomes": outcomes,
        "events": events,
        "changed": sorted(before.items() ^ snapshot(folder).items()),
        "file_ops": file_ops(),
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
