"""How long work reports its progress."""

from __future__ import annotations

from collections.abc import Callable

OnProgress = Callable[[str, int, int], None]
"""Called with the work, the amount that is done and the amount in all; 0 of 0 is unknown."""


def no_progress(what: str, count: int, total: int) -> None:
    """Show nothing."""
