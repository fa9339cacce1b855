"""Whole files, addressed by digest: what push and bench use, and never what a consumer opens."""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import List

from device_agent.contract.codes import NOT_FOUND, RefusalError
from device_agent.contract.wire import CHUNK_BYTES
from device_agent.os_errors import named_os_errors
from device_agent.store.durable import rename_durably
from device_agent.store.folders import Folders, name_in


class Scratch:
    """The scratch area of a store."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders

    def path(self, sha256: str) -> str:
        """Return where the file with this digest lies.

        Raises:
            RefusalError: The board has no such file.
        """
        path = name_in(self._folders.scratch, sha256)
        if not os.path.isfile(path):
            raise RefusalError(NOT_FOUND, "the board has no file {}".format(sha256))
        return path

    def has(self, sha256: str, size: int) -> bool:
        """Report whether the file with this digest and size is in the area."""
        path = name_in(self._folders.scratch, sha256)
        return os.path.isfile(path) and os.path.getsize(path) == size

    def adopt(self, path: str) -> str:
        """Move a file that the agent itself wrote into the area; return its digest."""
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
                digest.update(chunk)
            os.fsync(file.fileno())
        with named_os_errors():
            rename_durably(path, name_in(self._folders.scratch, digest.hexdigest()))
        return digest.hexdigest()

    def drop(self, digests: List[str]) -> int:
        """Remove files, whole or partial; return how many were on the board."""
        dropped = 0
        for sha256 in digests:
            for folder in (self._folders.scratch, self._folders.partial):
                path = name_in(folder, sha256)
                with contextlib.suppress(FileNotFoundError), named_os_errors():
                    os.unlink(path)
                    dropped += 1
        return dropped
