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


def write_durably(path: str, content: bytes, mode: int = 0o600) -> None:
    """Write a small file: at every crash point its name has the old content or the new.

    Args:
        path: File; what stands behind its name is exchanged.
        content: Content of the file.
        mode: Permissions of the file.

    Raises:
        RefusalError: A link or a folder lies in its place.
        OSError: It cannot be written; the old content stays.
    """
    new = path + ".new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    handle = open_file(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        try:
            write_all(handle, content)
            if mode != 0o600:
                os.fchmod(handle, mode)
            os.fsync(handle)
        finally:
            os.close(handle)
        rename_durably(new, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise


def write_all(handle: int, content: bytes) -> None:
    """Write all bytes to a file; the kernel may take fewer at a time."""
    view = memoryview(content)
    while view:
        view = view[os.write(handle, view) :]


def link_durably(target: str, path: str) -> None:
    """Let a symbolic link lead to a target: at every crash point it leads to the old or the new.

    Raises:
        RefusalError: A folder lies in its place.
        OSError: It cannot be written; the old link stays.
    """
    new = path + ".new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    os.symlink(target, new)
    try:
        rename_durably(new, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(new)
        raise


def unlink_durably(path: str) -> None:
    """Remove a file or a link, if there is one, so that it stays away after a power cut."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
        fsync_folder(os.path.dirname(path))


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
