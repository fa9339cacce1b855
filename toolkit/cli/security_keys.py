"""Tells a person which security keys to touch: ssh-keygen waits for it without a word."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from toolkit.cli import output


def note_touch(keys: Iterable[Path]) -> None:
    """Print a line for each key that must be touched before it signs.

    Args:
        keys: Keys as `toolkit.bundle.signing.sign` takes them.
    """
    from toolkit.bundle.signing import needs_touch

    for key in filter(needs_touch, keys):
        output.note(f"touch the security key of {key} when it blinks")
