"""What a person sees: progress on standard error, tables or JSON on standard output."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

import click

#: Progress with a known end is shown as a bar, on a terminal; elsewhere a line for each stage.
_DETAIL = re.compile(r" \(.*\)$")


class OnProgress(Protocol):
    """Shows what is being done, how much is done and how much there is (0 of 0: unknown)."""

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show it."""


@contextmanager
def progress() -> Iterator[OnProgress]:
    """Show progress while the block runs."""
    if not sys.stderr.isatty():
        yield _Lines()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        bar = shown.add_task("", total=None)
        stage = ""

        def show(what: str, done: int, total: int) -> None:
            nonlocal stage
            if _DETAIL.sub("", what) != stage:
                stage = _DETAIL.sub("", what)
                shown.reset(bar)
            shown.update(bar, description=what, completed=done, total=total or None)

        yield show


class _Lines:
    """One line for each stage: for a log, or a pipe."""

    def __init__(self) -> None:
        self._stage = ""

    def __call__(self, what: str, done: int, total: int) -> None:
        del done, total
        stage = _DETAIL.sub("", what)
        if stage != self._stage:
            self._stage = stage
            click.echo(f"· {stage}", err=True)


def say(text: str) -> None:
    """Print a line for a person."""
    click.echo(text)


def warn(text: str) -> None:
    """Print something that a person should know, beside the result."""
    click.echo(click.style("note: ", fg="yellow") + text, err=True)


def print_json(value: Any) -> None:
    """Print one JSON document."""
    click.echo(json.dumps(value, indent=2))


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table; the first column names the row, the others are figures."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title or None, box=box.SIMPLE_HEAD, title_justify="left")
    for position, column in enumerate(columns):
        drawn.add_column(column, justify="left" if position == 0 else "right")
    for row in rows:
        drawn.add_row(*row)
    width = None if sys.stdout.isatty() else 120
    Console(width=width, highlight=False, markup=False).print(drawn)


def percent(fraction: float) -> str:
    """Write a share as a percentage."""
    return f"{100 * fraction:.2f} %"


def size(count: int) -> str:
    """Write a number of bytes."""
    if count < 10_000:
        return f"{count:,} bytes"
    for unit, scale in (("KiB", 2**10), ("MiB", 2**20)):
        if count < 1000 * scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count / 2**30:.1f} GiB"


def duration(microseconds: float) -> str:
    """Write a latency with the unit that reads best."""
    if microseconds < 1000:
        return f"{microseconds:.1f} us"
    return f"{microseconds / 1000:.3g} ms" if microseconds < 1e6 else f"{microseconds / 1e6:.3g} s"
