"""A file on a board, where nothing but kedge uses it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Staged:
    """A file that lies in the scratch area of a board."""

    sha256: str
    size_bytes: int
    path: str
    """On the board."""
    sent_bytes: int
    """What had to be sent for it; close to nothing when the board had it."""
