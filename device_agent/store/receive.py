"""Files on their way from the host: received in parts, resumed, checked, then kept."""

from __future__ import annotations

import fcntl
import hashlib
import os
from typing import BinaryIO, Callable, Iterator, Tuple

from device_agent.contract.codes import BUSY, DIGEST_MISMATCH, NO_SPACE, RefusalError
from device_agent.contract.wire import CHUNK_BYTES
from device_agent.os_errors import named_os_errors
from device_agent.store.durable import open_file
from device_agent.store.folders import Folders, name_in
from device_agent.store.scratch import Scratch

#: Reads at most so many bytes of the incoming stream; `b""` means that the host is gone.
Read = Callable[[int], bytes]


class StreamLostError(Exception):
    """The host is gone in the middle of a file; what arrived is kept for the next try."""


class Uploads:
    """The partial files of a store, on their way into its scratch area."""

    def __init__(self, folders: Folders, scratch: Scratch) -> None:
        self._folders = folders
        self._scratch = scratch

    def offset(self, sha256: str, size: int) -> Tuple[int, str]:
        """Return how many bytes of a file are on the board, and its path when it is whole.

        Raises:
            RefusalError: The rest does not fit on the file system, it is read-only, or another
                host is sending the file.
        """
        if self._scratch.has(sha256, size):
            return size, self._scratch.path(sha256)
        with named_os_errors():
            self._folders.make()
            self._folders.require_writable()
            partial = name_in(self._folders.partial, sha256)
            have = 0
            if os.path.lexists(partial):
                with _open_locked(partial, sha256) as file:  # or refuse, before the bytes are sent
                    have = os.fstat(file.fileno()).st_size
                    if self._scratch.has(sha256, size):  # another host has just finished it
                        os.unlink(partial)
                        return size, self._scratch.path(sha256)
        self._folders.require_space(size - min(have, size))
        return min(have, size), ""

    def receive(self, sha256: str, size: int, offset: int, read: Read) -> None:
        """Take the bytes from `offset` to `size` from the stream; keep the file when it is right.

        Raises:
            RefusalError: Another host writes it, the disk is full, or the digest differs; in each
                case the announced bytes were read, so that the wire stays in step.
            StreamLostError: The stream ended early.
        """
        stream = _AnnouncedBytes(read, size - offset)
        try:
            with named_os_errors():
                self._receive(sha256, size, offset, stream)
        except StreamLostError:
            raise
        except Exception as error:
            if getattr(error, "code", "") == NO_SPACE:
                self._scratch.drop([sha256])  # a full disk hurts whatever else runs on the board
            stream.drain()
            raise

    def _receive(self, sha256: str, size: int, offset: int, stream: _AnnouncedBytes) -> None:
        self._folders.make()
        partial = name_in(self._folders.partial, sha256)
        with _open_locked(partial, sha256) as file:
            if self._scratch.has(sha256, size):  # another host was faster
                os.unlink(partial)
                stream.drain()
                return
            file.truncate(offset)
            file.seek(0)
            digest = hashlib.sha256()
            for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
                digest.update(chunk)
            try:
                for chunk in stream:
                    file.write(chunk)
                    digest.update(chunk)
            finally:
                file.flush()
            if digest.hexdigest() != sha256:
                os.unlink(partial)
                message = "announced {}, received {}".format(sha256, digest.hexdigest())
                raise RefusalError(DIGEST_MISMATCH, message, "Push the file again.")
            os.fsync(file.fileno())
            self._scratch.take(partial, sha256)


class _AnnouncedBytes:
    """The raw bytes that a request announced; they are read to the end whatever happens."""

    def __init__(self, read: Read, size: int) -> None:
        self._read = read
        self._missing = size

    def __iter__(self) -> Iterator[bytes]:
        while self._missing > 0:
            chunk = self._read(min(CHUNK_BYTES, self._missing))
            if not chunk:
                message = "the host is gone, {} bytes are missing".format(self._missing)
                raise StreamLostError(message)
            self._missing -= len(chunk)
            yield chunk

    def drain(self) -> None:
        for _ in self:
            pass


def _open_locked(path: str, sha256: str) -> BinaryIO:
    """Open a partial file, made if need be, for this host alone."""
    while True:
        file = os.fdopen(open_file(path, os.O_RDWR | os.O_CREAT | os.O_APPEND), "ab+")
        try:
            _lock(file, sha256)
            # The host before us may have renamed the file after we opened it: then what we hold
            # is the finished one, which nobody may write to any more.
            if _is_at(file, path):
                return file
        except BaseException:
            file.close()
            raise
        file.close()


def _is_at(file: BinaryIO, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _lock(file: BinaryIO, sha256: str) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        message = "another host is sending {} right now".format(sha256)
        raise RefusalError(BUSY, message, "Wait for it, then try again.") from error
