"""Whole files, addressed by digest: what push and bench use, and never what a consumer opens.

A file is hashed before its first use in a session, as the flash of a board may have changed it
since. What was hashed is remembered in memory and not in the store: damage of the storage changes
no time stamp, so that a note of an earlier session would say nothing.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from typing import Dict, List, Set, Tuple

from device_agent.contract.codes import BUSY, DIGEST_MISMATCH, NOT_FOUND, RefusalError
from device_agent.file_digest import digest_of_stream
from device_agent.os_errors import named_os_errors
from device_agent.store.durable import open_file, rename_durably, rename_file
from device_agent.store.folders import Folders, name_in

#: Size, times of change in nanoseconds and inode: another value means that a file was written.
_Stamp = Tuple[int, int, int, int]


class Scratch:
    """The scratch area of a store."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._stamps: Dict[str, _Stamp] = {}
        self.damaged: Set[str] = set()
        """Digests of the files of this session that were damaged, and were removed."""

    def path(self, sha256: str) -> str:
        """Return where the file with this digest lies.

        Raises:
            RefusalError: The board has no such file, or it was damaged, and is removed.
        """
        path = name_in(self._folders.scratch, sha256)
        if not _is_file(path):
            raise RefusalError(NOT_FOUND, "the board has no file {}".format(sha256))
        if not self._is_whole(sha256):
            message = "the file {} was damaged on the board, and is removed".format(sha256)
            raise RefusalError(
                DIGEST_MISMATCH, message, "Push it again; check the board's storage."
            )
        return path

    def has(self, sha256: str, size: int) -> bool:
        """Report whether the file with this digest and size is whole; a damaged one is removed."""
        path = name_in(self._folders.scratch, sha256)
        return _is_file(path) and self._is_whole(sha256) and os.path.getsize(path) == size

    def adopt(self, path: str) -> str:
        """Move a file that a job wrote into the area; return its digest.

        It does not outlive a power cut: the host takes it in the session of the job, or never, and
        flash takes long to write.
        """
        sha256 = _digest_of(path)
        with named_os_errors():
            target = name_in(self._folders.scratch, sha256)
            rename_file(path, target)
            self._note(target, sha256)
        return sha256

    def take(self, path: str, sha256: str) -> None:
        """Move a file that was just hashed, and is on the disk, into the area."""
        target = name_in(self._folders.scratch, sha256)
        rename_durably(path, target)
        self._note(target, sha256)

    def _note(self, path: str, sha256: str) -> None:
        """Remember that a file is whole."""
        self._stamps[sha256] = _stamp(path)
        self.damaged.discard(sha256)

    def drop(self, digests: List[str]) -> int:
        """Remove files, whole or partial; return how many were on the board.

        Raises:
            RefusalError: Another host is sending one of them right now.
        """
        dropped = 0
        for sha256 in digests:
            with contextlib.suppress(FileNotFoundError), named_os_errors():
                os.unlink(name_in(self._folders.scratch, sha256))
                dropped += 1
            with contextlib.suppress(FileNotFoundError), named_os_errors():
                _unlink_partial(name_in(self._folders.partial, sha256), sha256)
                dropped += 1
        return dropped

    def _is_whole(self, sha256: str) -> bool:
        path = name_in(self._folders.scratch, sha256)
        stamp = _stamp(path)
        if self._stamps.get(sha256) == stamp:
            return True
        with named_os_errors():
            if _digest_of(path) == sha256:
                self._stamps[sha256] = stamp
                return True
            self._stamps.pop(sha256, None)
            self.damaged.add(sha256)
            os.unlink(path)
        return False


def _is_file(path: str) -> bool:
    try:
        return stat.S_ISREG(os.lstat(path).st_mode)
    except OSError:
        return False


def _stamp(path: str) -> _Stamp:
    state = os.lstat(path)
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino


def _digest_of(path: str) -> str:
    """Return the digest of a file; empty for one of somebody else, who may still write to it."""
    try:
        handle = open_file(path, os.O_RDONLY)
    except RefusalError:
        return ""
    with os.fdopen(handle, "rb") as file:
        return digest_of_stream(file)


def _unlink_partial(path: str, sha256: str) -> None:
    with os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            message = "another host is sending {} right now".format(sha256)
            raise RefusalError(BUSY, message, "Wait for it, then try again.") from error
        os.unlink(path)
