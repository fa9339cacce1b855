"""Files of releases, addressed by digest: read-only, never rewritten, shared by all releases.

A blob is exchanged only as a whole, so that a program that has one open keeps what it opened.
"""

from __future__ import annotations

import errno
import os
import stat
from typing import Dict, List, Tuple

from device_agent.contract.codes import DIGEST_MISMATCH, NOT_FOUND, UNSAFE_ROOT, RefusalError
from device_agent.file_digest import digest_of_stream
from device_agent.store.durable import fsync_folder, open_file
from device_agent.store.folders import Folders, digests_in, name_in

#: Size, times of change in nanoseconds and inode: another value means that a file was written.
_Stamp = Tuple[int, int, int, int]

_READ_ONLY_MODE = 0o444


class Blobs:
    """The blobs of a store."""

    def __init__(self, folders: Folders) -> None:
        self._folder = folders.blobs
        self._stamps: Dict[str, _Stamp] = {}

    def path(self, sha256: str) -> str:
        """Return where a blob lies.

        Raises:
            RefusalError: The board has no such blob, or it is damaged.
        """
        path = name_in(self._folder, sha256)
        if self.has(sha256):
            return path
        if os.path.lexists(path):
            message = "the file {} was damaged on the board".format(sha256)
            hint = "Stage the release again; check the board's storage."
            raise RefusalError(DIGEST_MISMATCH, message, hint)
        raise RefusalError(NOT_FOUND, "the board has no file {}".format(sha256))

    def has(self, sha256: str) -> bool:
        """Report whether a blob is whole; hashed at its first use in a session.

        A damaged one stays: `current` may lead to it, until a whole one takes its place.
        """
        try:
            state = os.lstat(name_in(self._folder, sha256))
        except OSError:
            return False
        if not stat.S_ISREG(state.st_mode) or state.st_uid not in (0, os.geteuid()):
            return False
        stamp = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
        return self._stamps.get(sha256) == stamp or self.is_whole(sha256)

    def is_whole(self, sha256: str) -> bool:
        """Whether the bytes of a blob have its digest, as they are read now.

        Raises:
            OSError: They cannot be read, which may be for now alone.
        """
        path = name_in(self._folder, sha256)
        self._stamps.pop(sha256, None)
        try:
            state = os.lstat(path)
            if digest_on_disk(path) != sha256:
                return False
        except (FileNotFoundError, RefusalError):
            return False
        stamp = (state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino)
        self._stamps[sha256] = stamp
        return True

    def size(self, sha256: str) -> int:
        """Return the number of bytes of a blob; -1 where there is none."""
        try:
            return os.lstat(name_in(self._folder, sha256)).st_size
        except OSError:
            return -1

    def take(self, paths: Dict[str, str]) -> None:
        """Move files, which are on the disk already, to the blobs; all or some after a power cut.

        Args:
            paths: Path of each file by its digest.

        Raises:
            RefusalError: A file has another digest than it should, or a folder lies in its place.
            OSError: It cannot be moved.
        """
        for sha256, path in sorted(paths.items()):
            if digest_on_disk(path) != sha256:
                message = "the file {} was damaged on the board".format(sha256)
                raise RefusalError(
                    DIGEST_MISMATCH, message, "Send it again; check the board's storage."
                )
            os.chmod(path, _READ_ONLY_MODE)
            target = name_in(self._folder, sha256)
            if os.path.isdir(target) and not os.path.islink(target):
                message = "{} is a folder, expected a file that kedge made".format(target)
                raise RefusalError(UNSAFE_ROOT, message, "Remove it on the board, then try again.")
            os.replace(path, target)
        if paths:
            fsync_folder(self._folder)

    def names(self) -> List[str]:
        """Return the digests of all blobs, whole or not; other names are not kedge's."""
        return digests_in(self._folder)

    def remove(self, sha256: str) -> int:
        """Remove a blob; return its size."""
        path = name_in(self._folder, sha256)
        size = os.lstat(path).st_size
        os.unlink(path)
        self._stamps.pop(sha256, None)
        return size


def digest_on_disk(path: str) -> str:
    """Return the SHA-256 of a file, read from the disk where the kernel lets go of its copy.

    Raises:
        RefusalError: It is no regular file of this user.
        OSError: It cannot be read.
    """
    with os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
        try:
            os.fsync(file.fileno())
        except OSError as error:
            if error.errno != errno.EROFS:  # where nothing can be written, nothing waits to be
                raise
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return digest_of_stream(file)
