"""Steps of a write that survives a power cut: write, fsync the file, rename, fsync the folder.

At every crash point a name is either absent or whole.
"""

from __future__ import annotations

import contextlib
import os


def rename_durably(path: str, target: str) -> None:
    """Give a file or folder, whose content is on the disk already, its final name."""
    os.replace(path, target)
    fsync_folder(os.path.dirname(target))


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
