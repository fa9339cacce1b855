"""The hidden folder in which a conversion works: gone at its end, or at the next conversion.

Whoever works in one keeps it locked. A folder that nobody keeps locked was left by a process that
was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from converters import durable

_PREFIX = ".kedge-"
#: Age in seconds of a folder that nobody uses any more, where the file system has no locks.
_STALE_S = 60.0


@contextlib.contextmanager
def make_workspace(out: Path) -> Iterator[Path]:
    """A hidden folder inside `out`; gone at the end, and `out` too if we made it for nothing.

    Args:
        out: Folder of the results; made if it is missing.

    Raises:
        HostDiskError: The disk is full or read-only.
        ConversionError: The folder cannot be made or written.
    """
    is_new = not os.path.exists(out)  # noqa: PTH110 - unlike Path.exists(), it never raises
    with durable.translate_errors(out):
        out.mkdir(parents=True, exist_ok=True)
        _remove_remains(out)
        work, lock = _make_locked(out)
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(lock)
        if is_new:
            with contextlib.suppress(OSError):
                out.rmdir()


def _make_locked(out: Path) -> tuple[Path, int]:
    while True:
        work = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=out))
        lock = os.open(work, os.O_RDONLY)
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX)
        if work.exists():  # another conversion may have taken it for a remainder before the lock
            return work, lock
        os.close(lock)


def _remove_remains(out: Path) -> None:
    """Remove the folders of conversions that were killed."""
    for folder in out.glob(_PREFIX + "*"):
        with contextlib.suppress(OSError):  # a file, a link, or gone by now
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                if _is_abandoned(lock):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _is_abandoned(lock: int) -> bool:
    status = os.fstat(lock)
    if status.st_uid != os.getuid():
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return time.time() - status.st_mtime > _STALE_S
    return True
