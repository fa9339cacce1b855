"""The SQLite file of the results: its tables, and how it is opened.

The schema's version is SQLite's `user_version`; a newer kedge reads every older one, an older one
refuses a newer one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from toolkit.errors import ToolkitError
from toolkit.sqlite_guard import find_foreign_file, find_schema_program

SCHEMA = 3
NAME = "results.db"

#: Another kedge may be writing to the same file.
_BUSY_TIMEOUT_S = 20.0

_TABLES = """
CREATE TABLE result (
    id INTEGER PRIMARY KEY,
    taken_at TEXT NOT NULL,          -- UTC, ISO 8601
    target TEXT NOT NULL,
    model TEXT NOT NULL,             -- path, as it was given
    model_sha256 TEXT NOT NULL,
    runtime TEXT NOT NULL,           -- kernel class in words
    threads INTEGER NOT NULL,
    verdict TEXT NOT NULL,
    median_us REAL NOT NULL,
    document TEXT NOT NULL           -- JSON: all else that identifies it
);
CREATE TABLE run (
    result_id INTEGER NOT NULL REFERENCES result(id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    record TEXT NOT NULL,            -- JSON of ProcessRun
    conditions TEXT NOT NULL,        -- JSON list of Conditions
    samples BLOB NOT NULL,           -- zlib of unsigned 64-bit little-endian nanoseconds
    end_to_end BLOB NOT NULL,        -- the same of whole inferences
    PRIMARY KEY (result_id, number)
);
CREATE INDEX result_of_model ON result (model_sha256, target);
"""

#: Statements that lead from each older schema to the next; a new file runs all of them.
_STEPS = {
    0: _TABLES,
    1: """
CREATE TABLE series (
    result_id INTEGER NOT NULL,
    number INTEGER NOT NULL,
    name TEXT NOT NULL,              -- as in ProcessRun.series
    data BLOB NOT NULL,              -- as run.samples
    PRIMARY KEY (result_id, number, name),
    FOREIGN KEY (result_id, number) REFERENCES run(result_id, number) ON DELETE CASCADE
);
""",
    2: """
CREATE TABLE conversion (
    id INTEGER PRIMARY KEY,
    converted_at TEXT NOT NULL,      -- UTC, ISO 8601, of the first time
    model TEXT NOT NULL,             -- absolute path; the evidence was beside it
    model_sha256 TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL,          -- JSON: content of conversion.json
    note TEXT NOT NULL DEFAULT '',
    tags TEXT NOT NULL DEFAULT ''    -- each with a space before and behind it: " a b "
);
ALTER TABLE result ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE result ADD COLUMN tags TEXT NOT NULL DEFAULT '';
""",
}


#: Columns by which the table of the results is known.
_OWN_COLUMNS = {"model_sha256", "median_us", "document"}

#: Place and value of the byte of SQLite's file header that says that it has a write-ahead log.
_FORMAT_AT, _WITH_LOG = 18, b"\2"

#: Next step for the user, by a word of SQLite's message.
_HELP = {
    "locked": "Another kedge is writing to it: repeat this when that one is done.",
    "readonly": "Make it writable for you, and its folder as well.",
    "": "If the file is damaged, move it away: a new one is made.",
}


class ResultStoreError(ToolkitError):
    """The store of results cannot be read or written."""


class ResultDiskError(ResultStoreError):
    """The disk that the store lies on is full: nothing of it was lost, nothing was added."""

    exit_code = 6


@contextmanager
def open_database(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a file, making it and its tables when they are missing.

    Raises:
        ResultStoreError: The file is no store of ours, of a newer kedge, or cannot be opened.
    """
    with translate_database_errors(path):
        path.parent.mkdir(exist_ok=True)
        _refuse_other_files(path)
        _refuse_other_logs(path)
        database = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S)
    # A text of other bytes than UTF-8 is one wrong value, not the end of the list.
    database.text_factory = lambda text: text.decode("utf-8", "replace")
    with closing(database):
        with translate_database_errors(path):
            _prepare(database, path)
            _refuse_programs(database, path)
        yield database


def _refuse_other_files(path: Path) -> None:
    """Refuse a store through which SQLite would change or delete another file of the computer."""
    problem = find_foreign_file(path)
    if problem is not None:
        raise ResultStoreError(*problem)


def _refuse_other_logs(path: Path) -> None:
    """Refuse another program's file with a write-ahead log, which opening it would write back."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        head = file.read(_FORMAT_AT + 1)
    if head[_FORMAT_AT:] != _WITH_LOG:
        return
    address = f"file:{quote(os.path.abspath(path))}?immutable=1"  # noqa: PTH100 - of any folder
    with closing(sqlite3.connect(address, uri=True)) as database:
        if _schema_of(database, path) == 0:  # its tables are in the log; kedge makes none
            raise _not_ours(path)


def _prepare(database: sqlite3.Connection, path: Path) -> None:
    database.execute("PRAGMA foreign_keys = ON")
    if _schema_of(database, path) == SCHEMA:
        return
    with database:
        database.execute("BEGIN IMMEDIATE")  # two at once: the second waits, then finds the tables
        for step in range(_schema_of(database, path), SCHEMA):
            for statement in _STEPS[step].split(";\n"):
                database.execute(statement)
            database.execute(f"PRAGMA user_version = {step + 1}")


def _refuse_programs(database: sqlite3.Connection, path: Path) -> None:
    program = find_schema_program(database)
    if program is not None:
        raise ResultStoreError(
            f"{path} has the {program}, which kedge did not make",
            "Move it away: a new one is made.",
        )


def _schema_of(database: sqlite3.Connection, path: Path) -> int:
    schema = int(database.execute("PRAGMA user_version").fetchone()[0])
    tables = int(database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])
    columns = {
        str(row[0]) for row in database.execute("SELECT name FROM pragma_table_info('result')")
    }
    if schema == tables == 0:  # a new file
        return 0
    if not columns >= _OWN_COLUMNS:
        raise _not_ours(path)
    if schema < 1:
        raise ResultStoreError(
            f"{path} has schema {schema}, expected 1 to {SCHEMA}: it is no file of kedge's results",
            "Move it away: a new one is made.",
        )
    if schema > SCHEMA:
        raise ResultStoreError(
            f"{path} was written by a newer kedge (schema {schema}, this one reads {SCHEMA})",
            "Use that kedge, or move the file away.",
        )
    return schema


def _not_ours(path: Path) -> ResultStoreError:
    return ResultStoreError(
        f"{path} is a database of another program: it has no table `result` of kedge",
        "Move it away: a new one is made.",
    )


@contextmanager
def translate_database_errors(path: Path) -> Iterator[None]:
    """Turn errors of SQLite and of the system into those of the store.

    Args:
        path: File of the database, for messages.

    Raises:
        ResultDiskError: The disk is full.
        ResultStoreError: The file is damaged, locked, or may not be written.
    """
    try:
        yield
    except sqlite3.DatabaseError as error:
        if "is full" in str(error):
            raise ResultDiskError(
                f"the disk of {path} is full: nothing was added to the results", "Free some space."
            ) from error
        hint = next(hint for word, hint in _HELP.items() if word in str(error))
        message = f"the results in {path} cannot be used: {error}"
        raise ResultStoreError(message, hint) from error
    except OSError as error:
        raise ResultStoreError(
            f"cannot keep results in {path}: {error.strerror}",
            "Make the folder writable for you, or work in another one: its kedge.toml names the "
            "boards, and what is measured is kept beside it.",
        ) from error
