"""Steps of a write that survives a power cut: write, fsync the file, rename, fsync the folder.

At every crash point a name is either absent or whole.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from device_agent.contract.codes import UNSAFE_ROOT, RefusalError


def open_file(path: str, flags: int) -> int:
    """Open a regular file that belongs to this user; never what a link leads to.

    Args:
        path: File.
        flags: Flags of `os.open`; a file that they make is for this user alone.

    Returns:
        File descriptor.

    Raises:
        RefusalError: A link, a pipe or a file of somebody else lies in its place.
        OSError: The file cannot be opened.
    """
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO, errno.EISDIR):
            raise _foreign_file(path) from error
        raise
    state = os.fstat(handle)
    if stat.S_ISREG(state.st_mode) and state.st_uid in (0, os.geteuid()):
        return handle
    os.close(handle)
    raise _foreign_file(path)


def _foreign_file(path: str) -> RefusalError:
    message = "{} is not a regular file of this user, expected one that kedge made".format(path)
    return RefusalError(UNSAFE_ROOT, message, "Remove it on the board, then try again.")


def rename_durably(path: str, target: str) -> None:
    """Give a file or folder, whose content is on the disk already, its final name.

    Raises:
        RefusalError: A folder lies in the place of a file.
        OSError: It cannot be renamed.
    """
    rename_file(path, target)
    fsync_folder(os.path.dirname(target))


def rename_file(path: str, target: str) -> None:
    """Give a file or folder another name, which a power cut may undo.

    Raises:
        RefusalError: A folder lies in the place of a file.
        OSError: It cannot be renamed.
    """
    try:
        os.replace(path, target)
    except IsADirectoryError as error:
        raise _foreign_file(target) from error


def make_folder(path: str) -> None:
    """Make a folder, and those above it, that are still there after a power cut."""
    if os.path.isdir(path):
        return
    make_folder(os.path.dirname(path))
    with contextlib.suppress(FileExistsError):
        os.mkdir(path)
    with contextlib.suppress(PermissionError):  # a folder that may be entered, but not listed
        fsync_folder(os.path.dirname(path))


def fsync_folder(path: str) -> None:
    """Bring the names in a folder onto the disk."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
