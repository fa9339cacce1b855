"""A file on a board, where nothing but kedge uses it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StagedFile:
    """A file that lies in the scratch area of a board."""

    sha256: str
    size_bytes: int
    path: str
    """Path on the board."""
    sent_bytes: int
    """Number of bytes that had to be sent; close to 0 when the board had the file."""
    was_damaged: bool = False
    """Whether the board had a damaged copy, which was removed and sent anew."""
