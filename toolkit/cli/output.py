"""What a person sees: progress on standard error, tables or JSON on standard output.

Every text passes `escape_controls` on its way: boards, models and projects are written by others.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal, TextIO

import click

from toolkit.cli.escapes import escape_controls, mark_styles
from toolkit.errors import ToolkitError
from toolkit.progress import stage_of
from toolkit.report.tables import Block, Note, Table

if TYPE_CHECKING:
    from targets.progress import OnProgress

#: Wider than any table, so that its own width can be asked for.
_WIDEST = 10_000

#: Columns of a table that no terminal limits; it grows beyond them for long words only.
_PIPE_COLUMNS = 120


class OutputError(ToolkitError):
    """Standard output takes nothing more: the disk that it goes to is full."""

    exit_code = 6


@contextmanager
def progress() -> Iterator[OnProgress]:
    """Show progress while the block runs."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from toolkit.cli.progress_bars import ProgressBars

    bars = ProgressBars()
    with bars.display:
        _running.append(bars.display)
        try:
            yield bars
        finally:
            _running.remove(bars.display)


@contextmanager
def pause_progress() -> Iterator[None]:
    """Hide the progress bars while the block asks a person something."""
    bars = list(_running)
    for display in bars:
        display.stop()
    try:
        yield
    finally:
        for display in bars:
            display.start()


_running: list[Any] = []


class _Lines:
    """One line for each stage: for a log, or a pipe."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, what: str, done: int, total: int) -> None:
        del done, total
        stage = stage_of(what)
        if stage not in self._said:
            self._said.add(stage)
            note("· " + escape_controls(stage, plain=""))


def say(text: str) -> None:
    """Print a line for a person."""
    with _writing(sys.stdout):
        click.echo(escape_controls(text))


def note(text: str) -> None:
    """Print a line beside the result, which a program that reads the result does not see."""
    with _writing(sys.stderr):
        click.echo(escape_controls(text), err=True)


def warn(text: str) -> None:
    """Print something that a person should know, beside the result."""
    note(color("note: ", fg="yellow") + indent(text))


def indent(text: str) -> str:
    """Indent all lines but the first, so that none of them looks like a message of its own."""
    return text.replace("\n", "\n  ")


def color(text: str, **style: Any) -> str:
    """Color a text as click does, unless NO_COLOR is set (no-color.org)."""
    return text if os.environ.get("NO_COLOR") else mark_styles(click.style(text, **style))


def print_json(value: Any) -> None:
    """Print one JSON document."""
    say(json.dumps(value, indent=2))


def print_blocks(blocks: Iterable[Block]) -> None:
    """Print a report: lines and tables on standard output, notes on standard error."""
    for block in blocks:
        if isinstance(block, Table):
            table(block.title, block.columns, block.rows)
        elif isinstance(block, Note):
            warn(block.text)
        else:
            say(block)


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; the first column names the row, the others are figures.

    Nothing is cut off: on a terminal too narrow for the longest words each figure has a line of
    its own.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    if title:
        say(title)  # a line of its own: a table would break it at its own width
    cells = [[escape_controls(cell, plain="") for cell in row] for row in rows]
    rich_table = RichTable(box=box.SIMPLE_HEAD)
    for position, column in enumerate(columns):
        # A name that is cut or broken cannot be used in the next command.
        justify: Literal["left", "right"] = "right" if position else "left"
        rich_table.add_column(column, justify=justify, no_wrap=position == 0)
    for row in cells:
        rich_table.add_row(*map(Text.from_ansi, row))
    needed = Console(width=_WIDEST).measure(rich_table)
    is_terminal = sys.stdout.isatty()
    room = shutil.get_terminal_size().columns if is_terminal else _PIPE_COLUMNS
    if is_terminal and needed.minimum > room:
        say(mark_styles(_as_list(columns, cells)))
        return
    width = max(needed.minimum, min(needed.maximum, room))
    console = Console(width=width, highlight=False, markup=False)
    with console.capture() as captured:  # rich itself would end the program with its reader
        console.print(rich_table)
    say(mark_styles(captured.get().rstrip("\n")))


def _as_list(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    longest = max(map(len, columns))
    return "\n".join(
        f"  {column:{longest}}  {cell}" if position else f"\n{column} {cell}".rstrip(" ")
        for row in rows
        for position, (column, cell) in enumerate(zip(columns, row, strict=True))
    )


@contextmanager
def _writing(stream: TextIO) -> Iterator[None]:
    """Go on when the reader has left (`| head`): the work is done, and its exit code counts."""
    try:
        yield
    except BrokenPipeError:
        silence(stream)
    except OSError as error:
        silence(stream)
        if stream is sys.stdout:
            raise OutputError(f"the result cannot be written: {error.strerror}") from error


def silence(stream: TextIO) -> None:
    """Discard all further output to a stream."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
