"""Progress on a terminal: a bar for what works now, a line for what has ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Column
from rich.text import Text

from toolkit.cli.escapes import escape_controls
from toolkit.progress import ENDS, printed_line, stage_of
from toolkit.report import words

if TYPE_CHECKING:
    from collections.abc import Callable

_BAR_COLUMNS = 16
#: Least time, in seconds, that a forecast is made from.
_LEAST_S = 2.0


class _TimeLeft(ProgressColumn):
    """Time that a stage of known length still takes; nothing where it cannot be known."""

    def render(self, task: Task) -> Text:
        """Write the time."""
        left = task.time_remaining
        if not task.total or left is None or (task.elapsed or 0.0) < _LEAST_S:
            return Text("")
        return Text(f"{words.duration(1e6 * round(left))} left")


class ProgressBars:
    """One bar for each board or recipe that works; a line stays of each that has ended."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        # Folded rather than cut: a name that is cut cannot be used in the next command.
        description = TextColumn(
            "{task.description}", markup=False, table_column=Column(overflow="fold")
        )
        columns = (
            SpinnerColumn(),
            description,
            BarColumn(_BAR_COLUMNS),
            TimeElapsedColumn(),
            _TimeLeft(),
        )
        self.display = Progress(*columns, console=Console(stderr=True), transient=True)
        self._clock = clock
        self._bars: dict[str, TaskID] = {}
        self._stages: dict[str, str] = {}
        self._since: dict[str, float] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        """Show a report; the name of a board or recipe precedes the stage, with a colon."""
        line = printed_line(what)
        if line is not None:
            text = escape_controls(line, plain="")
            self.display.console.print(text, markup=False, highlight=False, soft_wrap=True)
            return
        subject = what.partition(": ")[0] if ": " in what else ""
        stage = stage_of(what)
        if subject and stage.removeprefix(f"{subject}: ") in ENDS:
            self._end(subject, stage)
            return
        if subject not in self._bars:
            self._bars[subject] = self.display.add_task("", total=None)
            self._since[subject] = self._clock()
        if self._stages.get(subject) != stage:
            self._stages[subject] = stage
            self.display.reset(self._bars[subject])
        text = escape_controls(what, plain="")
        self.display.update(
            self._bars[subject], description=text, completed=done, total=total or None
        )

    def _end(self, subject: str, stage: str) -> None:
        line = escape_controls(stage, plain="")
        if subject in self._bars:
            self.display.remove_task(self._bars.pop(subject))
            self._stages.pop(subject, None)
            line += f", {words.duration(1e6 * (self._clock() - self._since.pop(subject)))}"
        self.display.console.print(line, markup=False, highlight=False, soft_wrap=True)
