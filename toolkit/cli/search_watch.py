"""What a person or a program sees of a running search."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from toolkit.cli import output
from toolkit.cli.escapes import escape_controls
from toolkit.search.events import NOTE

if TYPE_CHECKING:
    from rich.console import RenderableType

    from targets.progress import OnProgress
    from toolkit.search.events import SearchEvent, Watch
    from toolkit.search.outcome import SearchOutcome

#: Number of rows of the front that the live table shows; the whole front comes at the end.
_MOST_ROWS = 12


@contextmanager
def watch_search(as_json: bool) -> Iterator[tuple[Watch, OnProgress]]:
    """Show events while the block runs: a live table, lines for a log, or JSON.

    Args:
        as_json: Whether each event is printed as a JSON line.

    Returns:
        Function for events, and function for the progress of a conversion or measurement.
    """
    if as_json:
        with output.progress() as show:
            yield _print_event, show
    elif output.hide_progress.is_set() or not sys.stderr.isatty():
        with output.progress() as show:
            yield lambda event: _note(event, output.note), show
    else:
        with _live_table() as both:
            yield both


@contextmanager
def _live_table() -> Iterator[tuple[Watch, OnProgress]]:
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    latest: list[SearchOutcome] = []
    stage = [""]

    def note(text: str) -> None:
        console.print(escape_controls(text), markup=False, highlight=False)

    with Live(console=console, refresh_per_second=4, transient=True) as live:

        def watch(event: SearchEvent) -> None:
            _note(event, note)
            if event.outcome is not None:
                latest[:] = [event.outcome]
            live.update(search_table(latest[0] if latest else None, stage[0]))

        def show(what: str, done: int, total: int) -> None:
            stage[0] = f"{what} {done}/{total}" if total else what
            live.update(search_table(latest[0] if latest else None, stage[0]))

        output.register_display(live)
        try:
            yield watch, show
        finally:
            output.forget_display(live)


def search_table(outcome: SearchOutcome | None, stage: str) -> RenderableType:
    """Return the table of the front so far, the trials that run, and the stage of this one.

    Args:
        outcome: Outcome so far; None before the reference is measured.
        stage: Words about the progress.
    """
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    lines: list[RenderableType] = []
    if outcome is not None:
        table = Table(box=None)
        for name in ("trial", "recipe", "validation %", "latency ratio"):
            table.add_column(name, justify="left" if name == "recipe" else "right")
        for result in outcome.front[:_MOST_ROWS]:
            table.add_row(
                "–" if result.number < 0 else str(result.number),
                Text(escape_controls(result.recipe, plain="")),
                f"{100 * result.accuracy.value:.2f}",
                f"{result.latency_ratio.value:.2f}",
            )
        more = len(outcome.front) - _MOST_ROWS
        words = f"{outcome.finished} trials ended, {len(outcome.reasons)} without a result"
        table.caption = words + (f"; {more} more on the front" if more > 0 else "")
        lines.append(table)
        lines += [Text(escape_controls(text, plain="")) for text in running_lines(outcome)]
    lines.append(Text(escape_controls(stage, plain=""), style="dim"))
    return Group(*lines)


def running_lines(outcome: SearchOutcome) -> list[str]:
    """Return a line about each trial that runs."""
    from toolkit.search.space import recipe_name

    return [
        running_line({**asdict(trial), "recipe": recipe_name(trial.recipe)})
        for trial in outcome.running
    ]


def running_line(trial: dict[str, Any]) -> str:
    """Return a line about a trial that runs.

    Args:
        trial: Its number, the name of its recipe and its worker.
    """
    recipe = trial["recipe"] or "is chosen"
    return f"runs: trial {trial['number']}: {recipe} ({trial['worker']})"


def _note(event: SearchEvent, note: Callable[[str], None]) -> None:
    from toolkit.search.events import BEGIN

    if event.kind != BEGIN:
        note(("note: " if event.kind == NOTE else "") + output.indent(event.words))


def _print_event(event: SearchEvent) -> None:
    plain = {"event": event.kind, "words": event.words, "recipe": event.recipe}
    plain = {name: value for name, value in plain.items() if value}
    content: dict[str, Any] = dict(plain)
    if event.number >= 0:
        content["trial"] = event.number
    if event.outcome is not None:
        content["finished"] = event.outcome.finished
        content["front"] = [result.number for result in event.outcome.front]
    output.say(json.dumps(content))
