"""A folder of a conversion: one conversion at a time writes there, and readers see a whole set."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

from converters.durable import sync_folder, translate_errors
from converters.errors import ConversionError
from device_agent.contract.codes import IntegrityError

#: File that a conversion keeps locked as long as it works; it says who that is.
LOCK_NAME = ".kedge-lock"
#: File that is there while files are replaced; if nobody replaces them, it was interrupted.
REPLACING_NAME = ".kedge-replacing"

_WHO_BYTES = 200
#: Replacing the files takes milliseconds; a process that takes longer was stopped in the middle.
_REPLACE_TIMEOUT_S = 10.0
_POLL_S = 0.01
#: Complaints of file systems that have no locks: there the digests of the files must do.
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF}


class FolderInUseError(ConversionError):
    """Another conversion writes into the folder: wait for it, or choose another one."""

    exit_code = 6


@contextlib.contextmanager
def hold_folder(folder: Path) -> Iterator[None]:
    """Keep other conversions out of a folder; make it, and remove it if nothing came into it.

    Args:
        folder: Folder of `kedge convert --out`, absolute.

    Raises:
        FolderInUseError: Another conversion writes there; the message says which process.
        HostDiskError: The disk is full or read-only.
        ConversionError: The folder cannot be made or written.
    """
    is_new = not os.path.exists(folder)  # noqa: PTH110 - unlike Path.exists(), it never raises
    with translate_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = _lock(folder)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            (folder / LOCK_NAME).unlink()
        os.close(lock)
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()


@contextlib.contextmanager
def replace_together(folder: Path) -> Iterator[None]:
    """Let nobody read a folder while several of its files are replaced.

    If the process dies meanwhile, `read_together` refuses the folder until it is replaced again.

    Raises:
        OSError: The folder cannot be written.
    """
    with _folder_lock(folder, fcntl.LOCK_EX):
        sign = folder / REPLACING_NAME
        sign.touch()
        sync_folder(folder)
        yield
        sign.unlink()
        sync_folder(folder)


@contextlib.contextmanager
def read_together(folder: Path) -> Iterator[None]:
    """Read files of a folder while nobody replaces them.

    Raises:
        IntegrityError: A conversion died while it replaced them; they belong to two models.
    """
    with _folder_lock(folder, fcntl.LOCK_SH):
        if (folder / REPLACING_NAME).exists():
            raise IntegrityError(
                f"{folder}: a conversion was ended while it replaced the files: they are not all "
                "of one model",
                "Convert the model again.",
            )
        yield


def _lock(folder: Path) -> int:
    """Open and lock the lock file of a folder.

    Raises:
        FolderInUseError: Another process holds it.
        OSError: It cannot be made.
    """
    path = folder / LOCK_NAME
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
        try:
            _flock(file, fcntl.LOCK_EX)
            # The process that held it removed it at its end: then this one is not the folder's.
            if path.exists() and os.path.samestat(os.fstat(file), path.stat()):
                os.truncate(file, 0)
                os.write(file, f"process {os.getpid()} on {socket.gethostname()}".encode())
                return file
        except BlockingIOError as error:
            who = os.read(file, _WHO_BYTES).decode("utf-8", "replace") or "another kedge"
            os.close(file)
            raise FolderInUseError(
                f"{folder}: {who} is converting into it",
                "Wait until it is done, or choose another folder with --out.",
            ) from error
        except BaseException:
            os.close(file)
            raise
        os.close(file)


@contextlib.contextmanager
def _folder_lock(folder: Path, kind: int) -> Iterator[None]:
    """Lock a folder itself for a moment, where that can be done."""
    try:
        file = os.open(folder, os.O_RDONLY)
    except OSError:
        yield
        return
    try:
        end = time.monotonic() + _REPLACE_TIMEOUT_S
        while time.monotonic() < end:
            try:
                _flock(file, kind)
                break
            except BlockingIOError:
                time.sleep(_POLL_S)
        yield
    finally:
        os.close(file)


def _flock(file: int, kind: int) -> None:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
