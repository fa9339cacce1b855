"""Digests of files and folders, so that evidence names exactly what it is about."""

from __future__ import annotations

import hashlib
from pathlib import Path

_CHUNK_BYTES = 1 << 20


def sha256_of(path: Path) -> str:
    """Digest of a file's bytes, or of a folder's sorted relative names and contents.

    Args:
        path: A file or a folder; hidden files count too.

    Returns:
        64 lower-case hex digits.
    """
    digest = hashlib.sha256()
    if path.is_dir():
        for file in files_below(path):
            digest.update(file.relative_to(path).as_posix().encode() + b"\0")
            digest.update(bytes.fromhex(sha256_of(file)))
        return digest.hexdigest()
    with path.open("rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def bytes_of(path: Path) -> int:
    """Size of a file, or of all files below a folder."""
    if path.is_dir():
        return sum(file.stat().st_size for file in files_below(path))
    return path.stat().st_size


def files_below(folder: Path) -> list[Path]:
    """Every file below a folder, sorted by its relative name."""
    return sorted(path for path in folder.rglob("*") if path.is_file())
