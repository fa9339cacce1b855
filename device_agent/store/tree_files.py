"""Digests of the files of a runtime, kept beside them, so that a changed one is found.

The list lies in the runtime's own folder and is written before that gets its name. Python adds
bytecode when it first imports a module: the list takes that in after the job that wrote it, and
bytecode that is not on the list is removed before the next use.
"""

from __future__ import annotations

import os
import stat
from typing import Dict, Iterator

from device_agent.file_digest import digest_of_file

#: Name of the list in the folder of a runtime: digest, two spaces and path of each file.
LIST_NAME = ".kedge-files"

_BYTECODE_FOLDER = "__pycache__"


def write_list(folder: str) -> None:
    """Hash all files of a runtime that was just unpacked, and write the list."""
    _write(folder, {name: digest_of_file(os.path.join(folder, name)) for name in _names(folder)})


def has_list(folder: str) -> bool:
    """Whether a runtime has a list; those that older versions of kedge unpacked have none."""
    return os.path.lexists(os.path.join(folder, LIST_NAME))


def is_intact(folder: str) -> bool:
    """Whether the files of a runtime are those that were unpacked; removes changed bytecode."""
    try:
        digests = _read(folder)
        for name in list(_names(folder)):
            path = os.path.join(folder, name)
            if _is_own_file(path) and digest_of_file(path) == digests.pop(name, ""):
                continue
            if not _is_bytecode(name):
                return False
            os.unlink(path)  # Python writes it again
    except (OSError, ValueError):  # ValueError: the list itself is no text any more
        return False
    return not [name for name in digests if not _is_bytecode(name)]


def add_bytecode(folder: str) -> None:
    """Take the bytecode that a job wrote into the list."""
    digests = _read(folder)
    new = [name for name in _names(folder) if name not in digests and _is_bytecode(name)]
    if new:
        digests.update((name, digest_of_file(os.path.join(folder, name))) for name in new)
        _write(folder, digests)


def _names(folder: str) -> Iterator[str]:
    """Yield the paths of all files and links below a folder, but not of the list."""
    for place, folders, files in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        for name in sorted(files + links):
            path = os.path.relpath(os.path.join(place, name), folder)
            if path != LIST_NAME:
                yield path


def _is_bytecode(name: str) -> bool:
    return os.path.basename(os.path.dirname(name)) == _BYTECODE_FOLDER


def _is_own_file(path: str) -> bool:
    state = os.lstat(path)
    return stat.S_ISREG(state.st_mode) and state.st_uid in (0, os.geteuid())


def _read(folder: str) -> Dict[str, str]:
    with open(os.path.join(folder, LIST_NAME), encoding="utf-8") as file:
        lines = [line.rstrip("\n").partition("  ") for line in file]
    return {name: digest for digest, _, name in lines}


def _write(folder: str, digests: Dict[str, str]) -> None:
    path = os.path.join(folder, LIST_NAME)
    with open(path + ".new", "w", encoding="utf-8") as file:
        file.writelines("{}  {}\n".format(digests[name], name) for name in sorted(digests))
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)
