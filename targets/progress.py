"""How those who act say how far they are."""

from __future__ import annotations

from collections.abc import Callable

OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, how much is done and how much there is; 0 of 0 is unknown."""


def no_progress(what: str, done: int, total: int) -> None:
    """Show nothing."""
