"""Lists of boards as CSV: a header, then a board a line."""

from __future__ import annotations

import csv
from collections.abc import Iterator

from targets.imports.row import TargetListError, TargetRow

#: Columns that are fields of a target; each other column is a label.
FIELDS = ("board", "jump", "identity", "root", "host_key", "host_key_type", "host_ca")
_NEEDED = ("name", "address")

_FORM = (
    "Write a header with `name` and `address`; further columns may be "
    f"{', '.join(FIELDS)}, and every other column is a label."
)


def read_csv(text: str, where: str) -> Iterator[TargetRow]:
    """Read a list.

    Args:
        text: Content of the file.
        where: Path of the file, for messages.

    Raises:
        TargetListError: The header is not right, or a line has another number of cells.
    """
    lines = text.removeprefix("\ufeff").splitlines(keepends=True)
    reader = csv.reader(lines, delimiter=_delimiter(lines[0] if lines else ""), strict=True)
    try:
        columns = [cell.strip() for cell in next(reader, [])]
        _check_header(columns, where)
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(columns):
                raise TargetListError(
                    f"{where}, line {reader.line_num}: has {len(cells)} cells, the header has "
                    f"{len(columns)}",
                    "Put a cell with a comma between quotes.",
                )
            yield _row(reader.line_num, dict(zip(columns, map(str.strip, cells), strict=True)))
    except csv.Error as error:
        raise TargetListError(f"{where}, line {reader.line_num}: {error}", _FORM) from error


def _delimiter(header: str) -> str:
    """Return the sign between the columns: a spreadsheet may write a semicolon or a tab."""
    return next((sign for sign in ",;\t" if sign in header), ",")


def _check_header(columns: list[str], where: str) -> None:
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        present = ", ".join(columns)[:200] or "nothing"
        raise TargetListError(
            f"{where}, line 1: the header lacks {' and '.join(missing)}; it has: {present}", _FORM
        )
    for name in columns:
        if not name or columns.count(name) > 1:
            raise TargetListError(
                f"{where}, line 1: the column {name!r} has no name or stands twice", _FORM
            )


def _row(line: int, cells: dict[str, str]) -> TargetRow:
    labels = {
        key.removeprefix("label."): value
        for key, value in cells.items()
        if value and key not in (*_NEEDED, *FIELDS)
    }
    values = {key: cells[key] for key in FIELDS if cells.get(key)}
    return TargetRow(line, cells["name"], cells["address"], values, labels)
