"""The file of a study after a power cut: its last line may be half written."""

from __future__ import annotations

import json
import os
from pathlib import Path

from converters.durable import sync_folder


def reconstruct_journal(path: Path) -> bool:
    """Remove what a power cut or a full disk left at the end of a journal.

    Each change is one line of JSON, written at once and synced; only the end can be damaged so.
    Damage before a whole line is left as it is: somebody else wrote it.

    Args:
        path: The journal; it may be missing. Nobody else may use it.

    Returns:
        Whether something was removed.

    Raises:
        OSError: The file cannot be read or written.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return False
    end = len(content)
    while end and not _is_whole(content, end):
        end = content.rfind(b"\n", 0, end - 1) + 1
        if end == 0:
            break
    if end == len(content) or (end == 0 and b"\n" in content):
        return False
    with path.open("r+b") as file:
        file.truncate(end)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)
    return True


def _is_whole(content: bytes, end: int) -> bool:
    """Whether a line that ends at `end` is one of a journal."""
    if content[end - 1 : end] != b"\n":
        return False
    start = content.rfind(b"\n", 0, end - 1) + 1
    try:
        return isinstance(json.loads(content[start:end]), dict)
    except ValueError:
        return False
