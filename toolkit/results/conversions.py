"""Conversions of a project, each file once, beside the measurements in the same database."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit.results.database import ResultStoreError, translate_database_errors
from toolkit.results.document import is_shallow
from toolkit.results.entry_id import CONVERSION, EntryId
from toolkit.results.labels import absent_entry

if TYPE_CHECKING:
    from converters.evidence.conversion import Conversion

#: Largest size of the evidence that is kept whole; that of longer trainings loses its epochs.
_MOST_BYTES = 4 << 20
#: Largest depth of tables and lists in each other; those of kedge have 8.
_MOST_DEPTH = 30


@dataclass(frozen=True)
class StoredConversion:
    """A conversion with its number, date, note and tags."""

    number: int
    converted_at: str
    """Time at which the file was made first (UTC, ISO 8601)."""
    conversion: Conversion
    """Evidence; its files may be gone or changed."""
    note: str
    tags: tuple[str, ...]

    @property
    def entry(self) -> EntryId:
        """Number as a person writes it, such as c3."""
        return EntryId(CONVERSION, self.number)


@dataclass(frozen=True)
class ConversionList:
    """Conversions, the newest first."""

    entries: tuple[StoredConversion, ...]
    """Conversions that can be read."""
    damage: Mapping[int, str]
    """Number of each other conversion to what is wrong with it."""


class Conversions:
    """The conversions of one project."""

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self._database = database
        self._path = path

    def save(self, conversions: Sequence[Conversion]) -> list[EntryId]:
        """Keep all conversions or none; a file that is known keeps its number, date, note and tags.

        Returns:
            Number of each.

        Raises:
            ResultStoreError: The file cannot be written.
        """
        with translate_database_errors(self._path), self._database:
            return [self._save_conversion(conversion) for conversion in conversions]

    def list_conversions(
        self, limit: int | None = None, tag: str = "", since: str = ""
    ) -> ConversionList:
        """List the newest conversions first; damaged ones do not hide the others.

        Args:
            limit: Largest number of conversions; `None` for all.
            tag: Tag that they have; "" for any.
            since: Time from which on they were made (UTC, ISO 8601); "" for any.

        Raises:
            ResultStoreError: The file cannot be read.
        """
        query = (
            "SELECT * FROM conversion WHERE (? = '' OR instr(tags, ' ' || ? || ' ')) "
            "AND converted_at >= ? ORDER BY id DESC LIMIT ?"
        )
        most = -1 if limit is None else limit  # SQLite takes -1 for no limit
        with translate_database_errors(self._path):
            rows = self._database.execute(query, (tag, tag, since, most)).fetchall()
        entries, damage = [], {}
        for row in rows:
            try:
                entries.append(_read_row(row))
            except ValueError as error:
                damage[row[0]] = self._damage(row[0], error)
        return ConversionList(tuple(entries), damage)

    def load(self, number: int) -> StoredConversion:
        """Return one conversion.

        Raises:
            ResultStoreError: There is none of this number, or what was kept of it is damaged.
        """
        with translate_database_errors(self._path):
            row = self._database.execute(
                "SELECT * FROM conversion WHERE id = ?", (number,)
            ).fetchone()
        if row is None:
            raise absent_entry(EntryId(CONVERSION, number), self._path)
        try:
            return _read_row(row)
        except ValueError as error:
            raise ResultStoreError(
                self._damage(number, error),
                f"The others can still be read; to remove it: kedge results delete c{number}",
            ) from error

    def delete(self, numbers: Iterable[int]) -> None:
        """Forget conversions, all of them or none; their files stay where they are.

        Raises:
            ResultStoreError: The file cannot be written.
        """
        with translate_database_errors(self._path), self._database:
            self._database.executemany(
                "DELETE FROM conversion WHERE id = ?", [(number,) for number in numbers]
            )

    def _save_conversion(self, conversion: Conversion) -> EntryId:
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        path = str(conversion.model.absolute())
        self._database.execute(
            "INSERT INTO conversion (converted_at, model, model_sha256, document) "
            "VALUES (?, ?, ?, ?) ON CONFLICT (model_sha256) DO UPDATE "
            "SET model = excluded.model, document = excluded.document",
            (now, path, conversion.model_sha256, _document_of(conversion)),
        )
        row = self._database.execute(
            "SELECT id FROM conversion WHERE model_sha256 = ?", (conversion.model_sha256,)
        ).fetchone()
        return EntryId(CONVERSION, int(row[0]))

    def _damage(self, number: int, error: Exception) -> str:
        return f"conversion c{number} in {self._path} is damaged: {error}"


def _document_of(conversion: Conversion) -> str:
    from converters.evidence.conversion import plain_evidence

    plain = plain_evidence(conversion)
    text = json.dumps(plain)
    return text if len(text) <= _MOST_BYTES else json.dumps({**plain, "step_records": []})


def _read_row(row: Sequence[Any]) -> StoredConversion:
    """Read the columns of a conversion.

    Raises:
        ValueError: One of them is not what it was written with.
    """
    from converters.errors import ConversionError
    from converters.evidence.conversion import parse_evidence

    number, converted_at, model, sha256, document, note, tags = row
    for text in row[1:]:
        if not isinstance(text, str):
            raise ValueError(f"a column is {str(text)[:60]!r}, expected a text")
    try:
        plain = json.loads(document)
        if not isinstance(plain, dict) or not is_shallow(plain, _MOST_DEPTH):
            raise ValueError("its document is no object, or is nested too deep")
        conversion = parse_evidence(plain, Path(model).parent, "its document")
    except (RecursionError, ConversionError) as error:
        raise ValueError(str(error) or "its document is nested too deep") from error
    if conversion.model_sha256 != sha256:
        raise ValueError(f"its document is about the file {conversion.model_sha256[:16]}")
    return StoredConversion(number, converted_at, conversion, note, tuple(tags.split()))
