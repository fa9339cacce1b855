"""What happens in a search, for a terminal, a log or a program."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from toolkit.search.outcome import SearchOutcome

#: Kinds of events: a trial begins, comes to a result, comes to none; a sentence about the search.
BEGIN, RESULT, DROP, NOTE = "begin", "result", "drop", "note"


@dataclass(frozen=True)
class SearchEvent:
    """Something that happened."""

    kind: str
    """`BEGIN`, `RESULT`, `DROP` or `NOTE`."""
    words: str
    """Sentence for a person."""
    number: int = -1
    """Number of the trial; -1 for what concerns the search."""
    recipe: str = ""
    """Name of the recipe of the trial."""
    outcome: SearchOutcome | None = None
    """Outcome of the search so far; None before the reference is measured."""


#: Receives what happens.
Watch = Callable[[SearchEvent], None]


def watch_nothing(_: SearchEvent) -> None:
    """Show nothing."""
