"""Every measurement and conversion of a project, in one SQLite file.

The file is `.kedge/results.db` beside `kedge.toml`. A result holds all samples and all that
identifies it, so that it can be analysed again, and compared with one taken years later.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from device_agent.contract.facts import facts_from_json
from device_agent.contract.measurement import to_json
from device_agent.contract.op_times import OpTimes, op_times_from_json
from device_agent.contract.records import read_record
from targets.board_run import BoardRun
from toolkit.judge.earlier import EarlierResult
from toolkit.judge.row import Row, row_of
from toolkit.judge.statistics import Latency, latency
from toolkit.judge.verdict import Verdict
from toolkit.project import project_folder
from toolkit.results.conversions import Conversions
from toolkit.results.database import (
    NAME,
    ResultStoreError,
    open_database,
    translate_database_errors,
)
from toolkit.results.document import mode_of, parse_document, recipe_of
from toolkit.results.entry_id import RESULT, EntryId
from toolkit.results.labels import Labels, absent_entry
from toolkit.results.stored_runs import pack_series, read_runs

if TYPE_CHECKING:
    from toolkit.results.record import ResultRecord


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
    recipe: str = ""
    """Recipe that the model was converted by; "" where that is not known."""
    note: str = ""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class ResultList:
    """Results, one line each."""

    lines: tuple[ResultLine, ...]
    """Lines that can be read."""
    damage: Mapping[int, str]
    """Number of each other result to what is wrong with it."""


#: Columns of the table, in the order of `ResultLine`; the others are in the document.
_IN_DOCUMENT = ("mode", "recipe")
_NAMES = tuple(name for name in ResultLine.__dataclass_fields__ if name not in _IN_DOCUMENT)
_COLUMNS = ", ".join(_NAMES)


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
        """Figures and verdict as this kedge computes them from what was kept.

        Raises:
            ResultStoreError: What was kept is no measurement, such as runs of no time.
        """
        facts, streams = facts_from_json(self.document["facts"]), self.document.get("streams", 1)
        try:
            return row_of(facts, self.line.threads, self.runs, streams)
        except (ValueError, ArithmeticError, LookupError) as error:
            raise ResultStoreError(
                f"result {self.line.id} is damaged: no figures can be computed of it: {error!r}",
                _rest(self.line.id),
            ) from error

    @property
    def op_times(self) -> OpTimes | None:
        """Times of the operators; `None` where they were not requested."""
        plain = self.document.get("op_times")
        return op_times_from_json(plain) if plain else None

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


def _rest(number: int) -> str:
    return f"The other results can still be read; to remove it: kedge results delete {number}"


class ResultStore:
    """The results of one project."""

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database = database
        self._path = path
        self.conversions = Conversions(database, path)
        self.labels = Labels(database, path)

    def save(self, records: Sequence[ResultRecord]) -> list[int]:
        """Keep all results or none; return the number of each.

        Raises:
            ResultStoreError: The file cannot be written.
        """
        with translate_database_errors(self._path), self._database:
            return [self._save_record(record) for record in records]

    def list_results(
        self,
        target: str | None = None,
        limit: int | None = 50,
        numbers: Sequence[int] = (),
        tag: str = "",
        since: str = "",
    ) -> ResultList:
        """List the newest results first; damaged ones do not hide the others.

        Args:
            target: Name of the only target to list; `None` for all.
            limit: Largest number of results; `None` for all.
            numbers: Results to list; empty for all.
            tag: Tag that they have; "" for any.
            since: Time from which on they were taken (UTC, ISO 8601); "" for any.

        Raises:
            ResultStoreError: The file cannot be read, or there is no result of one number.
        """
        query = (
            f"SELECT {_COLUMNS}, document FROM result WHERE (? IS NULL OR target = ?) "
            "AND (? = '' OR instr(tags, ' ' || ? || ' ')) AND taken_at >= ? "
            "ORDER BY id DESC LIMIT ?"
        )
        with translate_database_errors(self._path):
            most = -1 if limit is None else limit  # SQLite takes -1 for no limit
            values = (target, target, tag, tag, since, most)
            rows = self._database.execute(query, values).fetchall()
        rows_by_number = {row[0]: row for row in rows}
        for number in numbers:
            if number not in rows_by_number:
                raise self._absent(number)
        lines, damage = [], {}
        for number in dict.fromkeys(numbers) or rows_by_number:
            row = rows_by_number[number]
            try:
                lines.append(_line_of(row))
            except ValueError as error:
                damage[number] = self._damage(number, str(error))
        return ResultList(tuple(lines), damage)

    def delete(self, numbers: Sequence[int]) -> None:
        """Delete results with their samples: all of them, or none.

        Raises:
            ResultStoreError: The file cannot be written.
        """
        with translate_database_errors(self._path), self._database:
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
        with translate_database_errors(self._path):
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
            return StoredResult(_line_of(row), parse_document(row[-1]), read_runs(runs, series))
        except ValueError as error:
            raise ResultStoreError(self._damage(number, str(error)), _rest(number)) from error

    def _damage(self, number: int, wrong: str) -> str:
        return f"result {number} in {self._path} is damaged: {wrong}"

    def _absent(self, number: int) -> ResultStoreError:
        return absent_entry(EntryId(RESULT, number), self._path)

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
                pack_series(run.samples_ns),
                pack_series(run.end_to_end_ns),
            ),
        )
        self._database.executemany(
            "INSERT INTO series VALUES (?, ?, ?, ?)",
            [(result, position, name, pack_series(data)) for name, data in run.series.items()],
        )


def _line_of(row: Sequence[Any]) -> ResultLine:
    """Read the columns of a result.

    Raises:
        ValueError: One of them has another type than it is written with.
    """
    values = dict(zip(_NAMES, row, strict=False))
    tags = values.pop("tags")
    if not isinstance(tags, str):
        raise ValueError(f"tags are {str(tags)[:60]!r}")
    line = read_record(
        ResultLine, {**values, "mode": mode_of(row[-1]), "recipe": recipe_of(row[-1])}
    )
    if not math.isfinite(line.median_us):
        raise ValueError(f"median_us is {line.median_us}")
    return replace(line, tags=tuple(tags.split()))


@contextmanager
def open_results(project: Path) -> Iterator[ResultStore]:
    """Open the results of a project, making the file when it is missing.

    Args:
        project: The folder of `kedge.toml`.

    Raises:
        ResultStoreError: The file is no store of ours, of a newer kedge, or cannot be opened.
        ToolkitError: `.kedge` is a link.
    """
    path = project_folder(project) / NAME
    with open_database(path) as database:
        yield ResultStore(database, path)
