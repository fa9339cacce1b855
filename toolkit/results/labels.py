"""Notes and tags, by which a person finds what is kept."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path

from toolkit.results.database import ResultStoreError, translate_database_errors
from toolkit.results.entry_id import EntryId

#: Largest number of characters of a note.
_MOST_NOTE = 4000
#: Largest number of tags of one entry.
_MOST_TAGS = 50
_TAG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,63}\Z")


class Labels:
    """Notes and tags of the measurements and conversions of one project."""

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database = database
        self._path = path

    def write_note(self, entry: EntryId, text: str) -> None:
        """Replace the note of an entry.

        Args:
            entry: Measurement or conversion.
            text: New note; "" removes the old one.

        Raises:
            ResultStoreError: The note is too long, there is no such entry, or the file cannot be
                written.
        """
        if len(text) > _MOST_NOTE:
            raise ResultStoreError(
                f"the note has {len(text):,} characters, expected at most {_MOST_NOTE:,}",
                "Shorten it.",
            )
        self._update(entry, "note", lambda _: text)

    def add_tags(self, entry: EntryId, tags: Sequence[str]) -> None:
        """Add tags to an entry; one that it has already stays.

        Raises:
            ResultStoreError: A tag has another form, there is no such entry, or the file cannot be
                written.
        """
        for tag in tags:
            if not _TAG.match(tag):
                raise ResultStoreError(
                    f"{tag[:80]!r} is no tag: expected a letter or digit, then at most 63 "
                    "letters, digits and . _ : / -",
                    "Use a note for longer words: kedge results note ID TEXT",
                )
        self._update(entry, "tags", lambda text: _join_tags([*text.split(), *tags]))

    def remove_tags(self, entry: EntryId, tags: Sequence[str]) -> None:
        """Remove tags from an entry; one that it has not is passed over.

        Raises:
            ResultStoreError: There is no such entry, or the file cannot be written.
        """
        self._update(
            entry, "tags", lambda text: _join_tags([t for t in text.split() if t not in tags])
        )

    def _update(self, entry: EntryId, column: str, change: Callable[[str], str]) -> None:
        """Change one text of an entry, while no other process writes."""
        with translate_database_errors(self._path), self._database:
            self._database.execute("BEGIN IMMEDIATE")
            row = self._database.execute(
                f"SELECT {column} FROM {entry.table} WHERE id = ?", (entry.number,)
            ).fetchone()
            if row is None:
                raise absent_entry(entry, self._path)
            text = change(row[0] if isinstance(row[0], str) else "")
            self._database.execute(
                f"UPDATE {entry.table} SET {column} = ? WHERE id = ?", (text, entry.number)
            )


def absent_entry(entry: EntryId, path: Path) -> ResultStoreError:
    """Return the error about a number that nothing has."""
    return ResultStoreError(
        f"there is no {entry.table} {entry} in {path}", "List them: kedge results"
    )


def _join_tags(tags: Sequence[str]) -> str:
    """Return the tags as the database keeps them: each with a space before and behind it."""
    names = [*dict.fromkeys(tags)]
    if len(names) > _MOST_TAGS:
        raise ResultStoreError(
            f"that makes {len(names)} tags, expected at most {_MOST_TAGS}",
            "Remove some: kedge results tag ID TAG --remove",
        )
    return f" {' '.join(names)} " if names else ""
