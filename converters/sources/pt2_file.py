"""A .pt2 of torch.export as a file: a zip of plain numbers and a program. Needs no torch.

torch.export.load runs pickles where a file has them. The copy that kedge makes of a file, for torch
to read, has none: raw weights and the program, as far as `converters.sources.pt2_program` keeps it.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

from converters.errors import ConversionError
from converters.foreign_files import PT2_LINES
from converters.sources.pt2_program import ProgramInput, damage, read_program

_PROGRAM = "models/model.json"
_SAMPLES = "data/sample_inputs/model.pt"
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
#: Members of the format of PyTorch 2.8 and older.
_OLD_PROGRAM, _OLD_VERSION = "serialized_exported_program.json", "version"
_COMPILED = ("data/aotinductor/", "data/executorch/")
#: Beginnings of the names of members that are taken; all other ones are pickles or unknown.
_RAW = ("data/weights/weight_", "data/constants/tensor_")
_PLAIN = ("archive_format", "archive_version", "byteorder", ".data/", ".format_version", "version")
#: Most members; a network of 20,000 weights is beyond what a board takes.
_MOST_MEMBERS = 50_000
#: Most bytes of a JSON: that of ResNet-152 has 5 MB.
_MOST_JSON = 64 * 2**20

_DAMAGE = (OSError, zipfile.BadZipFile, ValueError, RuntimeError, NotImplementedError, EOFError)


def is_pt2(path: Path) -> bool:
    """Whether a zip is one of torch.export, of any version."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = {name.partition("/")[2] for name in archive.namelist()}
            return bool({_PROGRAM, "archive_format"} & names) or _OLD_PROGRAM in archive.namelist()
    except _DAMAGE:
        return False


def check_pt2(path: Path) -> tuple[ProgramInput, ...]:
    """Refuse a .pt2 that kedge would not hand to torch.

    Args:
        path: File for which `is_pt2` is true.

    Returns:
        Inputs of the program.

    Raises:
        ConversionError: It is damaged, has pickles or compiled code, or its program is refused.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _, inputs = _read(path, archive)
    except _DAMAGE as error:
        raise damage(path, str(error).splitlines()[0] if str(error) else "no zip") from error
    return inputs


def copy_without_pickles(path: Path, to: Path) -> None:
    """Write a copy for torch: the raw weights and the program, without what runs code.

    Args:
        path: File for which `check_pt2` raised nothing.
        to: File to write.

    Raises:
        ConversionError: `check_pt2` would refuse the file.
    """
    try:
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(to, "w") as copy:
            program, _ = _read(path, archive)
            for info in archive.infolist():
                folder, _, name = info.filename.partition("/")
                if name == _SAMPLES:
                    copy.writestr(info.filename, b"")
                elif name == _PROGRAM:
                    copy.writestr(info.filename, json.dumps(program))
                else:
                    copy.writestr(info.filename, archive.read(info))
    except _DAMAGE as error:
        raise damage(path, str(error).splitlines()[0] if str(error) else "no zip") from error


def _read(path: Path, archive: zipfile.ZipFile) -> tuple[dict[str, Any], tuple[ProgramInput, ...]]:
    members = _members(path, archive)
    if _PROGRAM not in members:
        raise damage(path, f"{_PROGRAM} is missing")
    for name in _CONFIGS:
        if name not in members:
            raise damage(path, f"{name} is missing")
        _refuse_pickles(path, _json(archive, members[name]))
    return read_program(path, _bounded(archive, members[_PROGRAM]))


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Members by their names without the folder that they all lie in."""
    infos = archive.infolist()
    if {_OLD_PROGRAM, _OLD_VERSION} <= {info.filename for info in infos}:
        raise ConversionError(
            f"{path}: was saved by PyTorch 2.8 or older, whose .pt2 holds pickles",
            f"Save it again with PyTorch 2.9 or newer:{PT2_LINES}",
        )
    if len(infos) > _MOST_MEMBERS or len({info.filename for info in infos}) != len(infos):
        raise damage(path, f"it has {len(infos)} members, or two of one name")
    folders = {info.filename.partition("/")[0] for info in infos}
    if len(folders) != 1:
        raise damage(path, f"its members lie in {len(folders)} folders, expected one")
    members = {}
    for info in infos:
        name = info.filename.partition("/")[2]
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1:
            raise damage(path, f"member {name[:80]!r} is compressed or encrypted")
        _check_name(path, name)
        members[name] = info
    return members


def _check_name(path: Path, name: str) -> None:
    if name.startswith(_COMPILED):
        raise ConversionError(
            f"{path}: holds compiled code of a program (AOTInductor), which kedge does not run",
            f"Give the file of torch.export.save:{PT2_LINES}",
        )
    rest = next((name[len(start) :] for start in _RAW if name.startswith(start)), "-")
    known = (*_CONFIGS, _PROGRAM, _SAMPLES)
    if rest.isdigit() or name in known or name.startswith(_PLAIN) and ".." not in name:
        return
    raise ConversionError(
        f"{path}: has the member {name[:80]!r}, expected raw weights and one program; Python code "
        "may be pickled in it, and kedge runs no code of a model file",
        f"Save plain tensors with PyTorch 2.9 or newer, and no extra files:{PT2_LINES}",
    )


def _refuse_pickles(path: Path, config: Any) -> None:
    for name, entry in config["config"].items():
        if entry["use_pickle"]:
            raise ConversionError(
                f"{path}: the tensor {str(name)[:80]!r} is pickled, so that Python code would run "
                "when it is read",
                "Save plain float tensors: quantized weights and tensor subclasses are pickled.",
            )


def _json(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Any:
    try:
        config = json.loads(_bounded(archive, info))
        for entry in config["config"].values():
            entry["use_pickle"]
    except (TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ValueError(f"{info.filename} is no list of tensors") from error
    return config


def _bounded(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    if info.file_size > _MOST_JSON:
        raise ValueError(f"{info.filename} has {info.file_size} bytes, at most {_MOST_JSON}")
    return archive.read(info)
