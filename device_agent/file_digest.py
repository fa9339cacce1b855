"""Digests of files."""

from __future__ import annotations

import hashlib
from typing import BinaryIO

from device_agent.contract.wire import CHUNK_BYTES


def digest_of_file(path: str) -> str:
    """Return the SHA-256 of a file, 64 hex digits.

    Raises:
        OSError: It cannot be read.
    """
    with open(path, "rb") as file:
        return digest_of_stream(file)


def digest_of_stream(file: BinaryIO) -> str:
    """Return the SHA-256 of what an open file still has, 64 hex digits.

    Raises:
        OSError: It cannot be read.
    """
    digest = hashlib.sha256()
    for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
        digest.update(chunk)
    return digest.hexdigest()
