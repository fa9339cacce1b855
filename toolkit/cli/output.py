"""What a person sees: progress on standard error, tables or JSON on standard output."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
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
    from rich.progress import (
        BarColumn,
        Progress,
        SpinnerColumn,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as shown:
        bars: dict[str, TaskID] = {}  # one for each board that works at the same time
        stages: dict[str, str] = {}

        def show(what: str, done: int, total: int) -> None:
            subject = what.partition(": ")[0] if ": " in what else ""
            if subject not in bars:
                bars[subject] = shown.add_task("", total=None)
            stage = _DETAIL.sub("", what)
            if stages.get(subject) != stage:
                stages[subject] = stage
                shown.reset(bars[subject])
            shown.update(bars[subject], description=what, completed=done, total=total or None)

        _running.append(shown)
        try:
            yield show
        finally:
            _running.remove(shown)


@contextmanager
def paused() -> Iterator[None]:
    """Take the bars off the terminal while the block asks a person something."""
    bars = list(_running)
    for shown in bars:
        shown.stop()
    try:
        yield
    finally:
        for shown in bars:
            shown.start()


_running: list[Any] = []


class _Lines:
    """One line for each stage: for a log, or a pipe."""

    def __init__(self) -> None:
        self._said: set[str] = set()

    def __call__(self, what: str, done: int, total: int) -> None:
        del done, total
        stage = _DETAIL.sub("", what)
        if stage not in self._said:
            self._said.add(stage)
            click.echo(f"· {stage}", err=True)


def say(text: str) -> None:
    """Print a line for a person."""
    click.echo(text)


def note(text: str) -> None:
    """Print a line beside the result, which a program that reads the result does not see."""
    click.echo(text, err=True)


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

    if title:
        click.echo(title)  # a line of its own: a table would break it at its own width
    drawn = Table(box=box.SIMPLE_HEAD)
    for position, column in enumerate(columns):
        drawn.add_column(column, justify="left" if position == 0 else "right")
    for row in rows:
        drawn.add_row(*row)
    width = None if sys.stdout.isatty() else 120
    Console(width=width, highlight=False, markup=False).print(drawn)


def path(location: Path) -> str:
    """Write a path as a person would type it here."""
    try:
        return str(location.relative_to(Path.cwd()))
    except ValueError:
        return str(location)


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
    if microseconds < 10:
        return f"{microseconds:.3g} us"
    if microseconds < 1000:
        return f"{microseconds:.1f} us"
    return f"{microseconds / 1000:.3g} ms" if microseconds < 1e6 else f"{microseconds / 1e6:.3g} s"
