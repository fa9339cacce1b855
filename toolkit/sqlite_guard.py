"""Files of SQLite that somebody else prepared: what they would do to the computer when opened."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path

#: Last bytes of a rollback journal that names another file.
_NAME_END = bytes.fromhex("d9d505f920a163d7")


def find_foreign_file(path: Path) -> tuple[str, str] | None:
    """Find a file through which SQLite would change or delete another file of the computer.

    SQLite deletes the file that the end of a rollback journal names: that of a transaction over
    several databases, which kedge never makes.

    Args:
        path: File of the database.

    Returns:
        Message and hint; `None` where there is no such file.

    Raises:
        OSError: A file cannot be read.
    """
    for beside in (path, *(path.with_name(f"{path.name}-{end}") for end in ("wal", "shm"))):
        if beside.is_symlink():
            return (
                f"{beside} is a link to another file",
                "Put the file itself there, or remove the link.",
            )
    journal = path.with_name(f"{path.name}-journal")
    with suppress(FileNotFoundError), journal.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - len(_NAME_END)))
        if file.read() == _NAME_END:
            return (
                f"{journal} names another file, which SQLite would delete: kedge did not write it",
                f"Remove it, or move all of {path.parent} away: a new one is made.",
            )
    return None


def find_schema_program(database: sqlite3.Connection) -> str | None:
    """Return a view or a trigger: kedge makes none, and they run when a table is read or written.

    Raises:
        sqlite3.DatabaseError: The file is damaged.
    """
    query = "SELECT type || ' ' || name FROM sqlite_master WHERE type IN ('view', 'trigger')"
    row = database.execute(query).fetchone()
    return None if row is None else str(row[0])
