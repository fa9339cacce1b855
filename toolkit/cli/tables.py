"""Tables on a terminal: never cut, with fewer columns where there is no room for all."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Literal

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from toolkit.cli.escapes import escape_controls, mark_styles
from toolkit.report.tables import Table

#: Signs that a table has beside its cells: at its edges, and between two columns.
_EDGE, _GAP = 4, 3

#: Columns of a table that no terminal limits; it grows beyond them for long words only.
_PIPE_COLUMNS = 120

#: Cells that are figures stand flush right, all others flush left.
_FIGURE = re.compile(r"(?:[<>~±+\-−]?\s?\d.*|–|)\Z", re.DOTALL)


def table_text(table: Table, terminal_columns: int | None, style: Callable[[str], str]) -> str:
    """Return a table as text.

    Args:
        table: Columns and cells; the title is not part of the text.
        terminal_columns: Width of the terminal; `None` where no terminal limits the table.
        style: Function that colors a cell.

    Returns:
        Lines of the table. A terminal that is too narrow for all columns gets those that count
        most, and a line that names the others. A terminal that is too narrow for these gets a line
        for each figure.
    """
    every = [[escape_controls(style(cell), plain="") for cell in row] for row in table.rows]
    if terminal_columns is None:
        least, most = _widths(table.columns, every)
        return _render(table.columns, every, max(least, min(most, _PIPE_COLUMNS)))
    absent: list[str] = []
    for detail in (None, *table.details):
        absent += [] if detail is None else [detail]
        shown = [position for position, name in enumerate(table.columns) if name not in absent]
        columns = [table.columns[position] for position in shown]
        cells = [[row[position] for position in shown] for row in every]
        least, most = _widths(columns, cells)
        if most <= terminal_columns:
            break
    if least > terminal_columns:
        return mark_styles(_as_list(table.columns, every))
    text = _render(columns, cells, min(most, terminal_columns))
    if absent:
        text += f"\n  not shown: {', '.join(reversed(absent))} (--wide shows all)"
    return text


def _widths(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> tuple[int, int]:
    """Return the widths at which no word is broken, and at which no cell is."""
    least = most = _EDGE + _GAP * (len(columns) - 1)
    for position, column in enumerate(columns):
        longest = max(map(cell_len, _texts(column, cells, position)))
        # A name that is broken cannot be used in the next command.
        least += longest if position == 0 else _longest_word(column, cells, position)
        most += longest
    return least, most


def _texts(column: str, cells: Sequence[Sequence[str]], position: int) -> list[str]:
    return [column, *(Text.from_ansi(row[position]).plain for row in cells)]


def _longest_word(column: str, cells: Sequence[Sequence[str]], position: int) -> int:
    words = (word for text in _texts(column, cells, position) for word in text.split(" "))
    return max(map(cell_len, words))


def _render(columns: Sequence[str], cells: Sequence[Sequence[str]], width: int) -> str:
    table = RichTable(box=box.SIMPLE_HEAD)
    for position, column in enumerate(columns):
        figures = position > 0 and all(
            _FIGURE.match(Text.from_ansi(row[position]).plain) for row in cells
        )
        justify: Literal["left", "right"] = "right" if figures else "left"
        least = _longest_word(column, cells, position)
        table.add_column(column, justify=justify, no_wrap=position == 0, min_width=least)
    for row in cells:
        table.add_row(*map(Text.from_ansi, row))
    console = Console(width=width, highlight=False, markup=False)
    with console.capture() as captured:  # rich itself would end the program with its reader
        console.print(table)
    lines = captured.get().rstrip("\n").split("\n")
    return mark_styles("\n".join(line.rstrip() for line in lines))


def _as_list(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    longest = max(map(len, columns))
    return "\n".join(
        f"  {column:{longest}}  {cell}" if position else f"\n{column} {cell}".rstrip(" ")
        for row in rows
        for position, (column, cell) in enumerate(zip(columns, row, strict=True))
    )
