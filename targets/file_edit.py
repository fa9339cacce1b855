"""Edits a file that others may edit at the same moment: one after the other, never half."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

#: An edit takes milliseconds; one that lasts longer was stopped in the middle.
EDIT_TIMEOUT_S = 10.0
_ASK_AGAIN_S = 0.02
_PREFIX = ".kedge-"
#: Name of a file that `tempfile` makes. Other hidden files of kedge have longer or shorter names.
_TEMPORARY = _PREFIX + "????????"
#: Age in seconds at which a temporary file is one that a killed process left.
_STALE_S = 60.0


@contextlib.contextmanager
def edit_alone(path: Path) -> Iterator[None]:
    """Let nobody else edit a file meanwhile; read it inside, where it stays as it was read.

    The lock is on its folder: each edit replaces the file, and a lock file would have to stay.

    Args:
        path: The file, which need not be there yet; no link.

    Raises:
        OSError: The folder cannot be opened, or another edit does not end.
    """
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        _lock(folder, path)
        _remove_remains(path.parent)
        yield
    finally:
        os.close(folder)


def replace_file(path: Path, content: bytes) -> None:
    """Replace a file at once: a reader, or a crash, sees the old or the new one.

    Args:
        path: The file; no link. Its mode is kept.
        content: All of it.

    Raises:
        OSError: It cannot be written; the old one is there.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=_PREFIX)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        Path(temporary).chmod(mode)
        Path(temporary).replace(path)
        _fsync_folder(path.parent)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def _remove_remains(folder: Path) -> None:
    """Remove the temporary files of this user that killed processes left in a folder."""
    for path in folder.glob(_TEMPORARY):
        with contextlib.suppress(OSError):  # another process has removed it
            status = path.lstat()
            is_own = stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid()
            if is_own and time.time() - status.st_mtime > _STALE_S:
                path.unlink()


def _lock(folder: int, path: Path) -> None:
    end = time.monotonic() + EDIT_TIMEOUT_S
    while True:
        try:
            return fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                why = "another program that edits it does not end"
                raise TimeoutError(errno.ETIMEDOUT, why, str(path)) from None
            time.sleep(_ASK_AGAIN_S)
        except OSError:  # a network file system that locks no folders
            return None


def _fsync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
