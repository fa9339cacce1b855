"""Wheels that tests make themselves."""

import hashlib
import zipfile
from collections.abc import Mapping
from pathlib import Path

from targets.runtimes.wheels import WheelFile


def wheel_file(path: Path) -> WheelFile:
    """Return a file as `find_wheels` would, were it published."""
    return WheelFile(path, hashlib.sha256(path.read_bytes()).hexdigest())


def write_wheel(path: Path, contents: Mapping[str, str]) -> WheelFile:
    """Write a wheel of text files."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return wheel_file(path)
