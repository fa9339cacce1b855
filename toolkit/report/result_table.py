"""Stored measurements and conversions as a table for a spreadsheet or a document."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from toolkit.report.stored_conversion import plain_conversion_line

if TYPE_CHECKING:
    from toolkit.results.conversions import StoredConversion
    from toolkit.results.store import ResultLine

_COLUMNS = (
    "id",
    "taken_at",
    "target",
    "model",
    "model_sha256",
    "runtime",
    "threads",
    "mode",
    "median_us",
    "verdict",
    "recipe",
    "note",
    "tags",
    # Of conversions alone.
    "converted_at",
    "model_bytes",
    "source",
    "source_sha256",
    "metric",
    "value",
    "low",
    "high",
    "macs",
    "evidence",
)

#: First characters that a spreadsheet takes for a formula.
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


def csv_text(lines: Sequence[ResultLine], conversions: Sequence[StoredConversion] = ()) -> str:
    """Return results as CSV with a head; a text that looks like a formula gets an apostrophe."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in _rows(lines, conversions):
        writer.writerow([_csv_cell(value) for value in row])
    return buffer.getvalue()


def markdown_text(lines: Sequence[ResultLine], conversions: Sequence[StoredConversion] = ()) -> str:
    """Return results as a table in Markdown."""
    rows = [_COLUMNS, ("---",) * len(_COLUMNS)]
    rows += [tuple(map(_markdown_cell, row)) for row in _rows(lines, conversions)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _rows(
    lines: Sequence[ResultLine], conversions: Sequence[StoredConversion]
) -> Iterator[list[object]]:
    """Values of each measurement, then of each conversion; "" where one has no such column."""
    for plain in (*map(vars, lines), *map(plain_conversion_line, conversions)):
        values = {**plain, "tags": " ".join(plain["tags"])}
        yield ["" if values.get(name) is None else values[name] for name in _COLUMNS]


def _csv_cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA_SIGNS):
        return f"'{value}"
    return value


def _markdown_cell(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())
