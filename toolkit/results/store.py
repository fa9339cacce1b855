"""Every measurement of a project, in one SQLite file: `.kedge/results.db` beside `kedge.toml`.

A result holds all samples and all that identifies it, so that it can be analysed again, and
compared with one taken years later. The schema's version is SQLite's `user_version`; a newer kedge
reads every older one, an older one refuses a newer one.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import Any

from device_agent.contract.conditions import conditions_from_json
from device_agent.contract.facts import facts_from_json
from device_agent.contract.measurement import process_run_from_json, to_json
from device_agent.contract.packed import pack_times, unpack_times
from targets.jobs import BoardRun
from toolkit.errors import ToolkitError
from toolkit.judge.earlier import EarlierResult
from toolkit.judge.row import Row, row_of
from toolkit.judge.statistics import Latency, latency
from toolkit.judge.verdict import Verdict
from toolkit.project import FOLDER
from toolkit.results.document import mode_of
from toolkit.results.record import ResultRecord

SCHEMA = 2
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
}


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


@dataclass(frozen=True)
class ResultLine:
    """One line in a list of results."""

    id: int
    taken_at: str
    target: str
    model: str
    model_sha256: str
    runtime: str
    threads: int
    verdict: str
    median_us: float
    mode: str = ""
    """`soak`, or the requests a second of `--rate`, as "30 Hz"; "" for runs back to back."""


#: Columns of the table, in the order of `ResultLine`; its mode is in the document.
_COLUMNS = ", ".join(name for name in ResultLine.__dataclass_fields__ if name != "mode")


@dataclass(frozen=True)
class StoredResult:
    """A result with everything that was kept of it."""

    line: ResultLine
    document: Mapping[str, Any]
    """`place`, `facts`, `parity`, `settings`, `reasons`, the version of kedge that took it; since
    schema 2 also `host`, `model_bytes`, `connect_s`, `push_s` and `warnings`."""
    runs: tuple[BoardRun, ...]

    @cached_property
    def latency(self) -> Latency:
        """Latency, computed again from the samples."""
        return latency([run.samples_ns for run in self.runs])

    @cached_property
    def row(self) -> Row:
        """Figures and verdict as this kedge computes them from what was kept."""
        facts, streams = facts_from_json(self.document["facts"]), self.document.get("streams", 1)
        return row_of(facts, self.line.threads, self.runs, streams)

    @property
    def figures(self) -> EarlierResult:
        """Figures for a comparison."""
        line = self.line
        return EarlierResult(
            number=line.id,
            model=line.model,
            target=line.target,
            place=self.document["place"],
            runtime=line.runtime,
            threads=line.threads,
            mode=line.mode,
            latency=self.latency,
            verdict=self.verdict,
        )

    @property
    def verdict(self) -> Verdict:
        """Verdict of the time when it was taken."""
        reasons, warnings = self.document["reasons"], self.document.get("warnings", ())
        return Verdict(self.line.verdict, tuple(reasons), tuple(warnings))


class ResultStore:
    """The results of one project."""

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database = database
        self._path = path

    def save(self, records: Sequence[ResultRecord]) -> list[int]:
        """Keep all results or none; return the number of each.

        Raises:
            ResultStoreError: The file cannot be written.
        """
        with _translated(self._path), self._database:
            return [self._save_record(record) for record in records]

    def lines(self, target: str | None = None, limit: int | None = 50) -> list[ResultLine]:
        """List the newest results first.

        Args:
            target: Name of the only target to list; `None` for all.
            limit: Largest number of results; `None` for all.
        """
        query = f"SELECT {_COLUMNS}, document FROM result WHERE ? IS NULL OR target = ? "
        query += "ORDER BY id DESC LIMIT ?"
        with _translated(self._path):
            most = -1 if limit is None else limit  # SQLite takes -1 for no limit
            rows = self._database.execute(query, (target, target, most)).fetchall()
        return [replace(ResultLine(*row[:-1]), mode=mode_of(row[-1])) for row in rows]

    def lines_of(self, numbers: Sequence[int]) -> list[ResultLine]:
        """Return the lines of results by their numbers, each once.

        Raises:
            ResultStoreError: There is none of one number.
        """
        lines = {line.id: line for line in self.lines(limit=None)}
        for number in numbers:
            if number not in lines:
                raise self._absent(number)
        return [lines[number] for number in dict.fromkeys(numbers)]

    def delete(self, numbers: Sequence[int]) -> None:
        """Delete results with their samples: all of them, or none.

        Raises:
            ResultStoreError: The file cannot be written.
        """
        with _translated(self._path), self._database:
            self._database.executemany(
                "DELETE FROM result WHERE id = ?", [(number,) for number in numbers]
            )

    def load(self, number: int) -> StoredResult:
        """Return one result.

        Raises:
            ResultStoreError: There is none of this number, or what was kept of it is damaged.
        """
        if not 0 < number < 2**63:  # what an id of SQLite can be
            raise self._absent(number)
        with _translated(self._path):
            row = self._database.execute(
                f"SELECT {_COLUMNS}, document FROM result WHERE id = ?", (number,)
            ).fetchone()
            runs = self._database.execute(
                "SELECT record, conditions, samples, end_to_end FROM run WHERE result_id = ? "
                "ORDER BY number",
                (number,),
            ).fetchall()
            series = self._database.execute(
                "SELECT number, name, data FROM series WHERE result_id = ?", (number,)
            ).fetchall()
        if row is None:
            raise self._absent(number)
        try:
            document, board_runs = json.loads(row[-1]), _runs_of(runs, series)
        except (ValueError, LookupError, TypeError, zlib.error) as error:
            raise ResultStoreError(
                f"result {number} in {self._path} is damaged: {error!r}",
                "The other results can still be read.",
            ) from error
        line = replace(ResultLine(*row[:-1]), mode=mode_of(row[-1]))
        return StoredResult(line, document, board_runs)

    def _absent(self, number: int) -> ResultStoreError:
        return ResultStoreError(
            f"there is no result {number} in {self._path}", "List them: kedge results"
        )

    def _save_record(self, record: ResultRecord) -> int:
        row, verdict = record.row, record.row.verdict
        document = {
            **record.document,
            "reasons": list(verdict.reasons),
            "warnings": list(verdict.warnings),
        }
        cursor = self._database.execute(
            "INSERT INTO result (taken_at, target, model, model_sha256, runtime, threads, verdict, "
            "median_us, document) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                datetime.now(timezone.utc).isoformat(timespec="seconds"),
                record.target,
                record.model,
                record.model_sha256,
                record.runtime,
                row.threads,
                verdict.kind,
                row.latency.median_us,
                json.dumps(document),
            ),
        )
        assert cursor.lastrowid is not None
        for position, run in enumerate(row.runs):
            self._save_run(cursor.lastrowid, position, run)
        return cursor.lastrowid

    def _save_run(self, result: int, position: int, run: BoardRun) -> None:
        self._database.execute(
            "INSERT INTO run VALUES (?, ?, ?, ?, ?, ?)",
            (
                result,
                position,
                json.dumps(to_json(run.run)),
                json.dumps([entry._asdict() for entry in run.conditions]),
                _compress(run.samples_ns),
                _compress(run.end_to_end_ns),
            ),
        )
        self._database.executemany(
            "INSERT INTO series VALUES (?, ?, ?, ?)",
            [(result, position, name, _compress(data)) for name, data in run.series.items()],
        )


@contextmanager
def open_results(project: Path) -> Iterator[ResultStore]:
    """Open the results of a project, making the file when it is missing.

    Args:
        project: The folder of `kedge.toml`.

    Raises:
        ResultStoreError: The file is no store of ours, of a newer kedge, or cannot be opened.
    """
    path = project / FOLDER / NAME
    with _translated(path):
        path.parent.mkdir(exist_ok=True)
        database = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S)
    with closing(database):
        with _translated(path):
            _prepare(database, path)
        yield ResultStore(database, path)


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


def _schema_of(database: sqlite3.Connection, path: Path) -> int:
    schema = int(database.execute("PRAGMA user_version").fetchone()[0])
    if schema > SCHEMA:
        raise ResultStoreError(
            f"{path} was written by a newer kedge (schema {schema}, this one reads {SCHEMA})",
            "Use that kedge, or move the file away.",
        )
    return schema


@contextmanager
def _translated(path: Path) -> Iterator[None]:
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


def _runs_of(
    rows: Sequence[tuple[str, str, bytes, bytes]], series: Sequence[tuple[int, str, bytes]]
) -> tuple[BoardRun, ...]:
    """Unpack the runs of a result.

    Raises:
        ValueError, LookupError, TypeError, zlib.error: What was kept is not whole.
    """
    if not rows:
        raise ValueError("its runs are missing")
    more: list[dict[str, tuple[int, ...]]] = [{} for _ in rows]
    for position, name, data in series:
        more[position][name] = _decompress(data)
    return tuple(map(_run_of, rows, more))


def _run_of(row: tuple[str, str, bytes, bytes], series: Mapping[str, tuple[int, ...]]) -> BoardRun:
    conditions = tuple(conditions_from_json(entry) for entry in json.loads(row[1]))
    run, samples = process_run_from_json(json.loads(row[0])), _decompress(row[2])
    if len(samples) != run.sample_count:
        raise ValueError(f"{len(samples)} samples are left of {run.sample_count}")
    return BoardRun(run, samples, conditions, _decompress(row[3]), series)


def _compress(times_ns: Sequence[int]) -> bytes:
    return zlib.compress(pack_times(times_ns))


def _decompress(data: bytes) -> tuple[int, ...]:
    return unpack_times(zlib.decompress(data))
