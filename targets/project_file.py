"""The file of a project: its name, and where it is."""

from __future__ import annotations

from pathlib import Path

FILE_NAME = "kedge.toml"


def find_file(start: Path) -> Path | None:
    """Seek `kedge.toml` in `start` and in every folder above it."""
    for folder in (start, *start.parents):
        if (folder / FILE_NAME).is_file():
            return folder / FILE_NAME
    return None
