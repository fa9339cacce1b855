"""Files on the board, addressed by their SHA-256: atomic, durable, resumable.

Layout under the root:
    store/scratch/<sha256>     what push and bench use; never what a consumer opens
    store/partial/<sha256>     what has arrived of a file so far
    store/lock                 held by the host that uses the board now
    store/runtimes/<tree>/     unzipped wheels, addressed by the digests of all of them
    store/work-<pid>/          what the agent with this process id is making right now

Order of every write: write, fsync the file, rename, fsync the folder. At every crash point a
name is either absent or whole.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
from typing import BinaryIO, Callable, Iterator, List, Tuple

from device_agent.contract.codes import (
    BAD_REQUEST,
    BUSY,
    DIGEST_MISMATCH,
    NO_SPACE,
    NOT_FOUND,
    RefusalError,
)
from device_agent.contract.wire import CHUNK_BYTES
from device_agent.os_errors import named_os_errors
from device_agent.store.leftovers import remove_left_data
from device_agent.store.reservation import Reservation

#: Left free on the board, so that a push never starves the board's own programs.
RESERVE_BYTES = 4 << 20

#: Reads at most so many bytes of the incoming stream; `b""` means that the host is gone.
Read = Callable[[int], bytes]


class StreamLostError(Exception):
    """The host is gone in the middle of a file; what arrived is kept for the next try."""


class Store:
    """The files of one root folder."""

    def __init__(self, root: str) -> None:
        self._store = os.path.join(os.path.abspath(root), "store")
        self.reservation = Reservation(os.path.join(self._store, "lock"))

    def path(self, sha256: str) -> str:
        """Return where the file with this digest lies.

        Raises:
            RefusalError: It is not here.
        """
        path = self._scratch(sha256)
        if not os.path.isfile(path):
            raise RefusalError(NOT_FOUND, "the board has no file {}".format(sha256))
        return path

    def offset(self, sha256: str, size: int) -> Tuple[int, str]:
        """Return how many bytes of a file are already here, and its path when it is whole.

        Raises:
            RefusalError: The rest does not fit on the file system, it is read-only, or another
                host is sending the file.
        """
        if self._is_whole(sha256, size):
            return size, self._scratch(sha256)
        with named_os_errors():
            self._make_folders()
            partial = self._partial(sha256)
            have = 0
            if os.path.exists(partial):
                with _open_locked(partial, sha256) as file:  # or refuse, before the bytes are sent
                    have = os.fstat(file.fileno()).st_size
                    if self._is_whole(sha256, size):  # another host has just finished it
                        os.unlink(partial)
                        return size, self._scratch(sha256)
        self.require_space(size - min(have, size))
        return min(have, size), ""

    def require_space(self, size: int) -> None:
        """Refuse before anything is written when `size` bytes do not fit.

        Raises:
            RefusalError: The file system has less than `size` and a reserve free.
        """
        facts = os.statvfs(_existing(self._store))
        free = facts.f_bavail * facts.f_frsize
        if free < size + RESERVE_BYTES:
            message = "{} bytes are needed under {}, and {} in reserve; {} are free".format(
                size, self._store, RESERVE_BYTES, free
            )
            raise RefusalError(NO_SPACE, message, "Free some space on the board, then try again.")

    def receive(self, sha256: str, size: int, offset: int, read: Read) -> None:
        """Take the bytes from `offset` to `size` from the stream; keep the file when it is right.

        Raises:
            RefusalError: Another host writes it, the disk is full, or the digest differs; in each
                case the announced bytes were read, so that the wire stays in step.
            StreamLostError: The stream ended early.
        """
        stream = _Announced(read, size - offset)
        try:
            with named_os_errors():
                self._receive(sha256, size, offset, stream)
        except StreamLostError:
            raise
        except Exception as error:
            if getattr(error, "code", "") == NO_SPACE:
                self.drop([sha256])  # a full disk hurts whatever else runs on the board
            stream.drain()
            raise

    def _receive(self, sha256: str, size: int, offset: int, stream: _Announced) -> None:
        self._make_folders()
        partial = self._partial(sha256)
        with _open_locked(partial, sha256) as file:
            if self._is_whole(sha256, size):  # another host was faster
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
            os.replace(partial, self._scratch(sha256))
        _fsync_folder(os.path.dirname(self._scratch(sha256)))

    def adopt(self, path: str) -> str:
        """Move a file that the agent itself wrote into the scratch area; return its digest."""
        digest = hashlib.sha256()
        with open(path, "rb") as file:
            for chunk in iter(lambda: file.read(CHUNK_BYTES), b""):
                digest.update(chunk)
            os.fsync(file.fileno())
        with named_os_errors():
            os.replace(path, self._scratch(digest.hexdigest()))
            _fsync_folder(os.path.dirname(self._scratch(digest.hexdigest())))
        return digest.hexdigest()

    def drop(self, digests: List[str]) -> int:
        """Remove files; return how many were there."""
        dropped = 0
        for sha256 in digests:
            for path in (self._scratch(sha256), self._partial(sha256)):
                with contextlib.suppress(FileNotFoundError), named_os_errors():
                    os.unlink(path)
                    dropped += 1
        return dropped

    def remove_left_data(self) -> None:
        """Remove what killed sessions left of their jobs; only with the reservation."""
        if self.reservation.is_held:
            remove_left_data(os.path.join(self._store, "scratch"))

    @contextlib.contextmanager
    def workspace(self) -> Iterator[str]:
        """Lend a folder for one job, on the same file system; it is gone afterwards."""
        folder = os.path.join(self._store, "work-{}".format(os.getpid()))
        with named_os_errors():
            self._make_folders()
            self._remove_abandoned()
            os.mkdir(folder)
        try:
            with named_os_errors():
                yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def tree(self, tree: str) -> str:
        """Return the folder of unzipped wheels with this digest.

        Raises:
            RefusalError: It is not here.
        """
        path = self._tree(tree)
        if not os.path.isdir(path):
            raise RefusalError(NOT_FOUND, "the board has no runtime {}".format(tree))
        return path

    def has_tree(self, tree: str) -> bool:
        """Tell whether the runtime with this digest is here."""
        return os.path.isdir(self._tree(tree))

    def unpack(self, tree: str, wheels: List[str]) -> None:
        """Unzip wheels, given by digest, into the folder of `tree`; the wheels themselves go.

        Raises:
            RefusalError: A wheel is missing or no zip file, or the disk is full.
        """
        if self.has_tree(tree):
            self.drop(wheels)
            return
        if not wheels:
            raise RefusalError(BAD_REQUEST, "a runtime has at least one wheel")
        paths = [self.path(sha256) for sha256 in wheels]
        with self.workspace() as folder:
            building = os.path.join(folder, "runtime")
            for path in paths:
                self._unzip(path, building)
            os.sync()  # thousands of files: one sync costs less than an fsync each
            try:
                os.replace(building, self._tree(tree))
            except OSError:
                if not self.has_tree(tree):  # else another host was faster
                    raise
        _fsync_folder(os.path.dirname(self._tree(tree)))
        self.drop(wheels)

    def remove_other_trees(self, keep: List[str]) -> None:
        """Remove the runtimes that are no longer chosen; nothing without the reservation.

        Each is renamed before its files go, so that what is called a runtime is always whole.
        """
        folder = os.path.join(self._store, "runtimes")
        others = set(os.listdir(folder)) - set(keep)
        if not others or not self.reservation.is_held:
            return
        with self.workspace() as going:
            for name in others:
                os.replace(os.path.join(folder, name), os.path.join(going, name))

    def _unzip(self, path: str, folder: str) -> None:
        import zipfile  # half a megabyte of memory, for what is done once
        import zlib

        try:
            with zipfile.ZipFile(path) as wheel:
                self.require_space(sum(entry.file_size for entry in wheel.infolist()))
                wheel.extractall(folder)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, ValueError) as error:
            # RuntimeError: encrypted, or compressed in a way that this Python does not know
            message = "{} is not a wheel: {}".format(os.path.basename(path), error)
            raise RefusalError(BAD_REQUEST, message, "Get the wheel again.") from error

    def _is_whole(self, sha256: str, size: int) -> bool:
        path = self._scratch(sha256)
        return os.path.isfile(path) and os.path.getsize(path) == size

    def _make_folders(self) -> None:
        for name in ("scratch", "partial", "runtimes"):
            _make_folder(os.path.join(self._store, name))

    def _remove_abandoned(self) -> None:
        """Remove what agents left that were killed in mid-work."""
        for name in os.listdir(self._store):
            kind, _, pid = name.partition("-")
            if kind == "work" and (pid == str(os.getpid()) or not os.path.exists("/proc/" + pid)):
                shutil.rmtree(os.path.join(self._store, name), ignore_errors=True)

    def _scratch(self, sha256: str) -> str:
        return os.path.join(self._store, "scratch", _digest(sha256))

    def _partial(self, sha256: str) -> str:
        return os.path.join(self._store, "partial", _digest(sha256))

    def _tree(self, tree: str) -> str:
        return os.path.join(self._store, "runtimes", _digest(tree))


class _Announced:
    """The raw bytes that a request announced; they are read to the end whatever happens."""

    def __init__(self, read: Read, size: int) -> None:
        self._read = read
        self._left = size

    def __iter__(self) -> Iterator[bytes]:
        while self._left > 0:
            chunk = self._read(min(CHUNK_BYTES, self._left))
            if not chunk:
                raise StreamLostError("the host is gone, {} bytes are missing".format(self._left))
            self._left -= len(chunk)
            yield chunk

    def drain(self) -> None:
        for _ in self:
            pass


def _open_locked(path: str, sha256: str) -> BinaryIO:
    """Open a partial file, made if need be, for this host alone."""
    while True:
        file = open(path, "ab+")  # noqa: SIM115 - who gets it closes it
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


def _digest(value: str) -> str:
    """Let only a digest become part of a path."""
    if not re.match(r"^[0-9a-f]{64}\Z", value):
        raise RefusalError(BAD_REQUEST, "{!r} is not a SHA-256 digest".format(value[:100]))
    return value


def _existing(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _make_folder(path: str) -> None:
    """Make a folder that is still there after a power cut."""
    if os.path.isdir(path):
        return
    _make_folder(os.path.dirname(path))
    with contextlib.suppress(FileExistsError):
        os.mkdir(path)
    with contextlib.suppress(PermissionError):  # a folder that may be entered, but not listed
        _fsync_folder(os.path.dirname(path))


def _fsync_folder(path: str) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
