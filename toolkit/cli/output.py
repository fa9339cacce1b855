"""What a person sees: progress on standard error, tables or JSON on standard output.

Every text passes `escape_controls` on its way: boards, models and projects are written by others.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

import click

from targets.progress import no_progress
from toolkit.cli.escapes import escape_controls, mark_styles
from toolkit.cli.verdict_colors import verdict_at_start
from toolkit.errors import ToolkitError
from toolkit.progress import printed_line, stage_of
from toolkit.report.tables import Block, Note, Table

if TYPE_CHECKING:
    from targets.progress import OnProgress

#: Whether tables show all columns, however narrow the terminal is (`--wide`).
show_all_columns = threading.Event()

#: Whether nothing is shown of how far the work is (`--quiet`).
hide_progress = threading.Event()


class OutputError(ToolkitError):
    """Standard output takes nothing more: the disk that it goes to is full."""

    exit_code = 6


@contextmanager
def progress() -> Iterator[OnProgress]:
    """Show progress while the block runs, unless a person wants none."""
    if hide_progress.is_set():
        yield no_progress
        return
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


def register_display(display: Any) -> None:
    """Let `pause_progress` stop and start a live display of a command."""
    _running.append(display)


def forget_display(display: Any) -> None:
    """Forget a display of `register_display`, which has ended."""
    _running.remove(display)


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
        line = printed_line(what)
        if line is not None:
            note(escape_controls(line, plain=""))
            return
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
            print_table(block)
        elif isinstance(block, Note):
            warn(block.text)
        else:
            say(_color_verdict(block))


def table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[str]], details: Sequence[str] = ()
) -> None:
    """Print a table.

    Args:
        title: Line above the table; "" for none.
        columns: Names of the columns; the first column names the row.
        rows: Cells of each row.
        details: Columns that a narrow terminal leaves out, the least important first.
    """
    print_table(Table(title, columns, list(rows), details))


def print_table(block: Table) -> None:
    """Print a table; on a terminal that is too narrow, without its details."""
    from toolkit.cli.tables import table_text

    if block.title:
        say(block.title)  # a line of its own: a table would break it at its own width
    is_limited = sys.stdout.isatty() and not show_all_columns.is_set()
    columns = shutil.get_terminal_size().columns if is_limited else None
    with _writing(sys.stdout):  # rich writes what waits in the buffer of standard output
        text = table_text(block, columns, _color_verdict)
    say(text)


def _color_verdict(line: str) -> str:
    parts = verdict_at_start(line)
    if parts is None:
        return line
    before, verdict, after, name = parts
    return before + color(verdict, fg=name, bold=True) + after


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
            raise cannot_write(error) from error


def cannot_write(error: OSError) -> OutputError:
    """Return the error for a standard output that takes nothing."""
    return OutputError(f"the result cannot be written: {error.strerror}")


def silence(stream: TextIO) -> None:
    """Discard all further output to a stream."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
