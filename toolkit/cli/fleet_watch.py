"""What a person or a program sees of a running rollout."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from device_agent.contract.signed_text import time_text
from toolkit.cli import output
from toolkit.cli.escapes import escape_controls
from toolkit.report import words

if TYPE_CHECKING:
    from rich.table import Table

    from toolkit.fleet.engine import RolloutEvent, Watch
    from toolkit.fleet.waves import Wave

#: Columns of the table of waves.
_STATES = (
    "pending",
    "staged",
    "probed",
    "trial",
    "confirmed",
    "reverted",
    "failed",
    "unreachable",
    "skipped",
)

#: Results of a step, and changes, that get a line.
_BAD = frozenset({"reverted", "failed", "unreachable", "skipped"})


@contextmanager
def watch_rollout(boards: dict[str, tuple[int, str]], as_json: bool) -> Iterator[Watch]:
    """Show events while the block runs: a live table, lines for a log, or JSON.

    Args:
        boards: Wave and state by name of the target, as the rollout begins or goes on.
        as_json: Whether each event is printed as a JSON line.
    """
    if as_json:
        yield _print_event
        return
    lines = RolloutLines(boards)
    if not sys.stderr.isatty():
        yield lines
        return
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    with Live(console=console, refresh_per_second=4, transient=True) as live:

        def note(text: str) -> None:
            console.print(escape_controls(text), markup=False, highlight=False)

        lines.note = note  # type: ignore[method-assign]

        def show(event: RolloutEvent) -> None:
            lines(event)
            live.update(lines.table())

        yield show


class RolloutLines:
    """Counts boards by wave and state; writes a line for each failure, wave and status."""

    def __init__(self, boards: dict[str, tuple[int, str]]) -> None:
        self._states = dict(boards)
        self._running: Counter[str] = Counter()

    def note(self, text: str) -> None:
        """Write a line."""
        output.note(text)

    def __call__(self, event: RolloutEvent) -> None:
        """Take in an event."""
        if event.kind == "begin":
            self._running[event.step] += 1
            return
        if event.kind == "result":
            self._running[event.step] -= 1
        if event.target:
            wave, before = self._states.get(event.target, (event.wave, "pending"))
            self._states[event.target] = (wave, event.state)
            if event.reason and (event.state in _BAD or event.kind == "result"):
                where = event.step or event.kind
                self.note(f"{event.target}: {where}: {event.state}: {output.indent(event.reason)}")
                if event.hint:
                    self.note(f"  → {output.indent(event.hint)}")
            if before != event.state and self._is_wave_over(wave, event.state):
                self.note(f"wave {wave}: all boards are {event.state}")
        elif event.kind == "wave":
            self.note(f"wave {event.wave}: {event.state}: {self._counts(event.wave)}")
        else:
            reason = f": {event.reason}" if event.reason else ""
            self.note(f"the rollout is {event.state}{reason}")

    def table(self) -> Table:
        """Return the table of waves and states."""
        from rich.table import Table

        table = Table(box=None)
        states = [state for state in _STATES if any(s == state for _, s in self._states.values())]
        for name in ("wave", *states):
            table.add_column(name, justify="right")
        for wave in sorted({wave for wave, _ in self._states.values()}):
            counts = Counter(state for number, state in self._states.values() if number == wave)
            table.add_row(str(wave), *(str(counts[state] or "") for state in states))
        running = ", ".join(f"{step} {count}" for step, count in self._running.items() if count)
        table.caption = running or "waits"
        return table

    def _is_wave_over(self, wave: int, state: str) -> bool:
        return state in ("staged", "confirmed") and all(
            other == state for number, other in self._states.values() if number == wave
        )

    def _counts(self, wave: int) -> str:
        counts = Counter(state for number, state in self._states.values() if number == wave)
        return ", ".join(f"{counts[state]} {state}" for state in _STATES if counts[state])


def wave_rows(waves: tuple[Wave, ...]) -> list[list[str]]:
    """Return the rows of a table of planned waves; a wave that goes to its end has no number."""
    return [
        [
            str(wave.number),
            str(len(wave.members)),
            _limit(wave.budget, wave),
            _limit(wave.unreachable, wave),
            words.duration(1e6 * wave.soak_s) if wave.soak_s else "–",
            ", ".join(member.name for member in wave.members[:4])
            + (" …" if len(wave.members) > 4 else ""),
        ]
        for wave in waves
    ]


def _limit(boards: int, wave: Wave) -> str:
    return str(boards) if boards < max(2, len(wave.members)) else "–"


def _print_event(event: RolloutEvent) -> None:
    plain = {
        "at": time_text(event.at),
        "event": event.kind,
        "target": event.target,
        "wave": event.wave,
        "step": event.step,
        "state": event.state,
        "reason": event.reason,
        "hint": event.hint,
    }
    output.say(json.dumps({name: value for name, value in plain.items() if value}))
