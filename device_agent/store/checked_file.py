"""Small records in files that say by themselves whether they are damaged.

A file is one line of JSON and one line with its CRC-32: writes are atomic, but flash forgets.
"""

from __future__ import annotations

import json
import os
import zlib
from typing import Any, Dict, Optional

from device_agent.contract.records import RecordError, parse_json
from device_agent.store.durable import open_file, write_durably

#: Largest file that is read.
_MOST_BYTES = 4 << 20


class DamagedFileError(Exception):
    """The content of a file is not what was written."""


def write_checked(path: str, plain: Dict[str, Any]) -> None:
    """Write a record; at every crash point the file is old or new.

    Raises:
        OSError: It cannot be written; the old one stays.
    """
    line = json.dumps(plain, sort_keys=True, separators=(",", ":")).encode("ascii") + b"\n"
    write_durably(path, line + b"%08x\n" % zlib.crc32(line))


def read_checked(path: str) -> Optional[Dict[str, Any]]:
    """Read a record; `None` where there is no file.

    Raises:
        DamagedFileError: It is damaged.
        RefusalError: Something else than a file of this user lies there.
    """
    try:
        handle = open_file(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    with os.fdopen(handle, "rb") as file:
        content = file.read(_MOST_BYTES)
    line, _, check = content.partition(b"\n")
    if check != b"%08x\n" % zlib.crc32(line + b"\n"):
        raise DamagedFileError(path)
    try:
        plain = parse_json(line)
    except RecordError as error:
        raise DamagedFileError(path) from error
    if not isinstance(plain, dict):
        raise DamagedFileError(path)
    return plain


def set_aside(path: str) -> None:
    """Keep a damaged file under another name, for whoever wants to know what happened."""
    os.replace(path, path + ".damaged")
