"""Stored results as a table for a spreadsheet or a document."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
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
)

#: First characters that a spreadsheet takes for a formula.
_FORMULA_SIGNS = ("=", "+", "-", "@", "\t", "\r")


def csv_text(lines: Sequence[ResultLine]) -> str:
    """Return results as CSV with a head; a text that looks like a formula gets an apostrophe."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for line in lines:
        writer.writerow([_csv_cell(getattr(line, name)) for name in _COLUMNS])
    return buffer.getvalue()


def markdown_text(lines: Sequence[ResultLine]) -> str:
    """Return results as a table in Markdown."""
    rows = [_COLUMNS, ("---",) * len(_COLUMNS)]
    rows += [tuple(_markdown_cell(getattr(line, name)) for name in _COLUMNS) for line in lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _csv_cell(value: object) -> object:
    if isinstance(value, str) and value.startswith(_FORMULA_SIGNS):
        return f"'{value}"
    return value


def _markdown_cell(value: object) -> str:
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return " ".join(text.replace("\\", "\\\\").replace("|", "\\|").split())
