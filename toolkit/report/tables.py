"""Parts of a report as data: lines, notes and tables. The command line prints them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Figures in rows and columns."""

    title: str
    """Line above the table; "" for none."""
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    """Cells of each row, one for each column; the first one names the row."""
    details: Sequence[str] = ()
    """Columns that a narrow terminal leaves out, the least important first."""


@dataclass(frozen=True)
class Note:
    """Something that a person should know beside the result."""

    text: str


#: A string is a line of the result.
Block = str | Note | Table
