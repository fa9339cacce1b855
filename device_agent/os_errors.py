"""Turns the operating system's refusals into codes that a host can act on."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import Iterator

from device_agent.contract.codes import LIMIT, NO_SPACE, READ_ONLY, STORAGE, RefusalError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_BROKEN = (errno.EIO, errno.EUCLEAN, errno.ENODATA)
_READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)

#: Limit of the login behind an error, and the command that shows and changes it.
_LIMITS = {
    errno.EMFILE: ("its limit on open files", "ulimit -n"),
    errno.ENFILE: ("the board's limit on open files", "sysctl fs.file-max"),
    errno.EFBIG: ("its limit on the size of a file", "ulimit -f"),
    errno.EAGAIN: ("its limit on processes", "ulimit -u"),
    errno.ENOMEM: ("its limit on memory, or the memory of the board", "ulimit -v"),
}


@contextlib.contextmanager
def named_os_errors() -> Iterator[None]:
    """Name a full and a read-only file system, and limits of the login; others pass through.

    Raises:
        RefusalError: The file system is full, this user may not write to it, the storage fails, or
            a limit is reached.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise _full(error) from error
        if error.errno in _READ_ONLY:
            message = os.strerror(error.errno)
            if error.filename:
                message = "{}: {}".format(message, error.filename)
            raise RefusalError(READ_ONLY, message) from error
        if error.errno in _BROKEN:
            hint = "Look at `dmesg` on the board: its card or disk may have to be replaced."
            message = "the storage of the board fails: {}".format(error)
            raise RefusalError(STORAGE, message, hint) from error
        if error.errno in _LIMITS:
            what, command = _LIMITS[error.errno]
            message = "the board's login has reached {}: {}".format(what, error)
            hint = "Raise it on the board (`{}` shows it), then try again.".format(command)
            raise RefusalError(LIMIT, message, hint) from error
        raise


def _full(error: OSError) -> RefusalError:
    path = str(error.filename2 or error.filename or "")  # a link is made at the second one
    folder, message = os.path.dirname(path), os.strerror(error.errno or errno.ENOSPC)
    if path:
        message = "{}: {}".format(message, path)
    hint = ""
    with contextlib.suppress(OSError):
        facts = os.statvfs(folder)
        if facts.f_files and not facts.f_favail:
            hint = "Delete files on the board (`df -i` shows how many it takes)."
            message = "its file system takes no more files: " + message
    return RefusalError(NO_SPACE, message, hint)
