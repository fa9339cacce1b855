"""Rollouts on a page: waves, states of the boards, and what went wrong. Pure but for drawing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from toolkit.report import words
from toolkit.report.page.content import Plot, Section
from toolkit.report.page.plots import draw_bars
from toolkit.report.tables import Table

#: Boards in the table of those on which something went wrong.
_MOST_FAILURES = 50


@dataclass(frozen=True)
class RolloutBoard:
    """One board of a rollout."""

    target: str
    wave: int
    """Number of the wave, from 0."""
    state: str
    reason: str
    """Reason of the last failure, in words; empty for none."""


@dataclass(frozen=True)
class Rollout:
    """A rollout as a page shows it."""

    number: int
    app: str
    release: str
    """Version of the release, or the digest of its manifest."""
    kind: str
    """`release` or `rollback`."""
    operator: str
    status: str
    begun: float
    """Seconds since 1970."""
    reasons: tuple[str, ...]
    """Reasons for a pause or a stop."""
    boards: tuple[RolloutBoard, ...]
    """Boards in the order of their waves."""


def describe_rollout(rollout: Rollout) -> str:
    """Return the state of a rollout in one sentence."""
    counts = Counter(board.state for board in rollout.boards)
    states = ", ".join(f"{count:,} {state}" for state, count in counts.most_common())
    why = f" because {'; '.join(rollout.reasons)}" if rollout.reasons else ""
    boards = words.count_of("board", len(rollout.boards))
    return (
        f"Rollout {rollout.number} of {rollout.app} {rollout.release} is {rollout.status}{why}: "
        f"{boards}, {states}."
    )


def plain_rollout(rollout: Rollout) -> dict[str, Any]:
    """Return a rollout as plain values."""
    return {**vars(rollout), "boards": [vars(board) for board in rollout.boards]}


def section_of_rollouts(rollouts: Sequence[Rollout]) -> Section:
    """Return the waves of each rollout, and the boards on which something went wrong."""
    plots, tables = [], []
    for rollout in rollouts:
        waves = sorted({board.wave for board in rollout.boards})
        states = [*dict.fromkeys(board.state for board in rollout.boards)]
        counts = Counter((board.wave, board.state) for board in rollout.boards)
        parts = [(state, [counts[wave, state] for wave in waves]) for state in states]
        names = [f"wave {wave + 1}" for wave in waves]
        title = f"Waves of rollout {rollout.number}"
        begun = datetime.fromtimestamp(rollout.begun, timezone.utc).isoformat(" ", "minutes")[:16]
        svg = draw_bars(names, [(s, [float(n) for n in ns]) for s, ns in parts], "boards", title)
        caption = (
            f"Rollout {rollout.number} ({rollout.kind} of {rollout.app}), begun {begun} UTC by "
            f"{rollout.operator}."
        )
        plots.append(Plot(svg, caption))
        rows = [
            [name, *(str(counts[wave, state]) for state in states)]
            for name, wave in zip(names, waves, strict=True)
        ]
        tables.append(Table(f"Rollout {rollout.number}: boards by wave", ["", *states], rows))
        failures = [board for board in rollout.boards if board.reason][:_MOST_FAILURES]
        if failures:
            cells = [[b.target, str(b.wave + 1), b.state, b.reason] for b in failures]
            head = f"Rollout {rollout.number}: where something went wrong"
            tables.append(Table(head, ["board", "wave", "state", "reason"], cells))
    return Section("rollout", "Rollouts", plots=plots, tables=tables)
