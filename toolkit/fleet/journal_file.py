"""The SQLite file of the journal: its tables, how it is opened, and its errors in words."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from toolkit.errors import ToolkitError
from toolkit.sqlite_guard import find_foreign_file, find_schema_program

SCHEMA = 1

#: SQLite's number for the program that a file belongs to: `kedg`.
_APPLICATION = 0x6B656467

#: A transaction takes milliseconds; one that holds the lock for longer was stopped in the middle.
_BUSY_TIMEOUT_S = 20.0

_TABLES = """
CREATE TABLE entry (
    number INTEGER PRIMARY KEY,      -- 1, 2, 3 … without a gap
    at REAL NOT NULL,                -- seconds since 1970
    epoch INTEGER NOT NULL,          -- of the controller; 0 for a wish of an operator
    who TEXT NOT NULL,
    rollout INTEGER NOT NULL,        -- 0 for none
    kind TEXT NOT NULL,
    target TEXT NOT NULL,            -- empty for none
    body TEXT NOT NULL,              -- canonical JSON
    hash BLOB NOT NULL               -- of this row and of the hash of the row before
);
CREATE TABLE head (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    number INTEGER NOT NULL,         -- of the last entry
    hash BLOB NOT NULL,              -- of the last entry
    epoch INTEGER NOT NULL           -- of the last controller
);
INSERT INTO head VALUES (1, 0, x'', 0);
CREATE TABLE rollout (
    number INTEGER PRIMARY KEY,
    entry INTEGER NOT NULL,          -- the entry that began it
    status TEXT NOT NULL,
    since REAL NOT NULL,
    reasons TEXT NOT NULL,           -- JSON list
    pause INTEGER NOT NULL,          -- wish of an operator
    stop INTEGER NOT NULL,
    wish_reason TEXT NOT NULL
);
CREATE TABLE board (
    rollout INTEGER NOT NULL,
    target TEXT NOT NULL,
    wave INTEGER NOT NULL,
    place INTEGER NOT NULL,          -- in the order of activation
    member TEXT NOT NULL,            -- JSON list
    state TEXT NOT NULL,
    since REAL NOT NULL,
    step TEXT NOT NULL,              -- whose intent is written and whose result is not
    reason TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    deadline REAL NOT NULL,
    attempts INTEGER NOT NULL,
    checked INTEGER NOT NULL,
    PRIMARY KEY (rollout, target)
) WITHOUT ROWID
"""

#: Next step for the user, by a word of SQLite's message.
_HELP = {
    "locked": "Another kedge is writing to it: repeat this when that one is done.",
    "readonly": "Make it writable for you, and its folder as well.",
    "read-only": "Make it writable for you, and its folder as well.",
    "unable to open": "Make its folder readable and writable for you.",
    "": "Restore a backup (kedge fleet journal restore FILE), or move the file away and rebuild it "
    "from the boards (kedge fleet journal rebuild).",
}


class JournalError(ToolkitError):
    """The journal cannot be read or written: nothing may be done with a board."""


class JournalDiskError(JournalError):
    """The disk that the journal lies on is full: nothing of it was lost, nothing was added."""

    exit_code = 6


class DamagedJournalError(JournalError):
    """Rows of the journal are not what kedge writes: somebody or something changed them."""

    exit_code = 5


class LeaseError(JournalError):
    """Another controller runs, or took over: this one may not go on."""

    exit_code = 6


@contextmanager
def open_journal_file(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a journal, making it and its tables when they are missing.

    Every commit is on the disk when it returns: write-ahead log, `synchronous = FULL`.

    Args:
        path: File of the journal.

    Raises:
        JournalError: The file is no journal of ours, of a newer kedge, or cannot be opened.
    """
    with translate_journal_errors(path):
        path.parent.mkdir(exist_ok=True)
        problem = find_foreign_file(path)
        if problem is not None:
            raise JournalError(*problem)
        database = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
    database.text_factory = lambda text: text.decode("utf-8", "replace")
    with closing(database):
        with translate_journal_errors(path):
            _prepare(database, path)
        yield database


@contextmanager
def transaction(database: sqlite3.Connection, path: Path) -> Iterator[None]:
    """Write all or nothing; nobody else writes meanwhile.

    Args:
        database: Open journal.
        path: Its file, for messages.

    Raises:
        JournalError: It cannot be written; nothing was added.
    """
    with translate_journal_errors(path):
        database.execute("BEGIN IMMEDIATE")
        try:
            yield
            database.execute("COMMIT")
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise


@contextmanager
def translate_journal_errors(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the system into those of the journal.

    Args:
        path: File of the journal, for messages.

    Raises:
        JournalDiskError: The disk is full.
        JournalError: The file is damaged, locked, or may not be written.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        if "is full" in str(error):
            raise JournalDiskError(
                f"the disk of {path} is full: nothing was added to the journal",
                "Free some space, then: kedge fleet resume",
            ) from error
        hint = next(hint for word, hint in _HELP.items() if word in str(error))
        raise JournalError(f"the journal {path} cannot be used: {error}", hint) from error
    except OSError as error:
        raise JournalError(
            f"cannot keep a journal in {path}: {error.strerror}",
            "Make the folder writable for you.",
        ) from error


@contextmanager
def translate_row_errors(path: Path) -> Iterator[None]:
    """Turn errors over the content of rows into those of a damaged journal.

    Args:
        path: File of the journal, for messages.

    Raises:
        DamagedJournalError: A row has another form than kedge gives it.
    """
    try:
        yield
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise DamagedJournalError(
            f"the journal {path} was changed or damaged: a row cannot be read", _HELP[""]
        ) from error


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    schema = _schema_of(database, path)
    if schema == SCHEMA:
        program = find_schema_program(database)
        if program is not None:
            raise JournalError(f"{path} has the {program}, which kedge did not make", _HELP[""])
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    if schema == SCHEMA:
        return
    with transaction(database, path):  # two at once: the second waits, then finds the tables
        if _schema_of(database, path) == 0:
            for statement in _TABLES.split(";\n"):
                database.execute(statement)
            database.execute(f"PRAGMA application_id = {_APPLICATION}")
            database.execute(f"PRAGMA user_version = {SCHEMA}")


def _schema_of(database: sqlite3.Connection, path: Path) -> int:
    schema = int(database.execute("PRAGMA user_version").fetchone()[0])
    application = int(database.execute("PRAGMA application_id").fetchone()[0])
    tables = int(database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    if schema > SCHEMA and application == _APPLICATION:
        raise JournalError(
            f"{path} was written by a newer kedge (schema {schema}, this one reads {SCHEMA})",
            "Update kedge.",
        )
    is_new = schema == 0 and application == 0 and tables == 0
    if not is_new and (application != _APPLICATION or schema != SCHEMA):
        raise JournalError(f"{path} is no journal of kedge", "Move it away.")
    return schema
