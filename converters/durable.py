"""Files that are whole or absent: write, fsync, rename, fsync the folder."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from converters.errors import ConversionError, HostDiskError

#: Full disk, full quota, read-only file system: the host's disk is at fault, not the input.
_DISK_ERRNOS = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}


@contextmanager
def translate_errors(path: Path) -> Iterator[None]:
    """Turn an OSError while writing `path` into an error of this package.

    Raises:
        HostDiskError: The disk is full or read-only.
        ConversionError: The path cannot be written for another reason, such as its permissions.
    """
    try:
        yield
    except OSError as error:
        raise error_of(error, f"{path}: cannot be written") from error


def error_of(error: OSError, what: str) -> ConversionError:
    """Turn an OSError into an error of this package.

    Args:
        error: Error of the system.
        what: Path, and what could not be done with it.

    Returns:
        HostDiskError where the disk is full or read-only, else ConversionError.
    """
    if error.errno in _DISK_ERRNOS:
        advice = (
            "Choose"
            if error.errno == errno.EROFS
            else "Free space on this computer's disk, or choose"
        )
        return HostDiskError(f"{what}: {error.strerror}", f"{advice} another folder with --out.")
    return ConversionError(f"{what}: {error.strerror or error}", "Check the path and its rights.")


def write(path: Path, content: bytes) -> None:
    """Write `content` to `path` and wait until it is on the disk.

    Raises:
        HostDiskError: The disk is full or read-only.
        ConversionError: The path cannot be written.
    """
    with translate_errors(path), path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def publish(source: Path, target: Path, names: Sequence[str]) -> None:
    """Move whole files from one folder to another, in the order given.

    Each file is replaced in one step; the last one is the sign that all are there. A file of
    another file system is copied beside its place first.

    Raises:
        HostDiskError: The disk is full or read-only.
        ConversionError: The target cannot be written.
    """
    with translate_errors(target):
        for name in names:
            if (source / name).is_symlink():
                raise ConversionError(
                    f"{source / name}: is a link, not a file", "Report this with the model."
                )
            _move(source / name, target / name)
        sync_folder(target)


def sync_folder(folder: Path) -> None:
    """Let names that were written into a folder, or moved there, survive a power cut."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def _move(source: Path, target: Path) -> None:
    try:
        source.replace(target)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = target.with_name(f".{target.name}.part")
        write(part, source.read_bytes())
        part.replace(target)
