"""What the journal keeps, and the columns in which it keeps it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from toolkit.fleet.board import FleetBoard
from toolkit.fleet.waves import Member

#: Characters of a reason or a cause in the table of boards; all of it is in the result.
_MOST_REASON = 500


@dataclass(frozen=True)
class RolloutStart:
    """Description of a rollout, as its first row of the journal says."""

    app: str
    release: str
    """SHA-256 of the manifest."""
    order: str
    """SHA-256 of the order."""
    kind: str
    """`release` or `rollback`."""
    operator: str
    """Person who began it."""
    salt: str
    """Random text that orders the boards."""
    policy: Mapping[str, Any]
    """Policy as plain values."""
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Further plain values for whoever resumes: path of the bundle, text of the order and its
    signatures, version of the release."""


@dataclass(frozen=True)
class RolloutLine:
    """One rollout in a list."""

    number: int
    start: RolloutStart
    begun: float
    """Seconds since 1970."""
    status: str
    """`running`, `paused`, `stopping`, `stopped` or `done`."""
    reasons: tuple[str, ...]
    """Reasons for a pause or a stop."""
    status_since: float
    """Seconds since 1970."""
    boards: Mapping[str, int]
    """Number of boards by state."""


@dataclass(frozen=True, slots=True)
class BoardLine:
    """One board of a rollout."""

    target: str
    wave: int
    state: str
    """One of `toolkit.fleet.states`."""
    since: float
    """Seconds since 1970 of the state."""
    step: str = ""
    """Step whose intent is written and whose result is not; empty for none."""
    reason: str = ""
    """Reason of the last failure, in words."""
    fingerprint: str = ""
    """Cause of the last failure, equal on boards that fail for the same cause."""
    deadline: float = 0.0
    """Seconds since 1970 at which the trial ends by itself; 0 for no trial."""
    attempts: int = 0
    """Number of activations that were begun."""
    variant: str = ""
    """Variant of the release that the board gets."""


@dataclass(frozen=True, slots=True)
class JournalNote:
    """One row that a controller writes."""

    kind: str
    """`intent`, `result`, `change`, `wave` or `status`."""
    body: Mapping[str, Any]
    """Plain values."""
    board: FleetBoard | None = None
    """Board that it is about, as it is now; `None` for the whole rollout."""

    @property
    def target(self) -> str:
        """Name of the target; empty for the whole rollout."""
        return self.board.name if self.board else ""


def plain_member(member: Member) -> list[Any]:
    """Return a board of a rollout as plain values."""
    return [
        member.name,
        member.board,
        member.runtime,
        member.site,
        member.jump,
        list(member.windows),
        member.variant,
    ]


def board_columns(board: FleetBoard) -> tuple[Any, ...]:
    """Return the columns of a board that change."""
    return (
        board.state,
        board.since,
        board.running,
        clean_text(board.reason[:_MOST_REASON]),
        clean_text(board.fingerprint[:_MOST_REASON]),
        board.deadline if board.is_exposed else 0.0,
        board.attempts,
        board.is_checked and not board.is_inconclusive,
    )


def read_board(row: Sequence[Any]) -> FleetBoard:
    """Return a board from its columns: member, wave, state and what follows."""
    member, wave, state, since, step, attempts, deadline, reason, fingerprint, checked = row
    name, board, runtime, site, jump, windows, variant = json.loads(member)
    return FleetBoard(
        Member(name, board, runtime, site, jump, tuple(windows), variant),
        wave=wave,
        state=state,
        since=since,
        running=step,
        attempts=attempts,
        deadline=deadline,
        reason=reason,
        fingerprint=fingerprint,
        is_checked=bool(checked),
    )


def clean_text(text: str) -> str:
    """Return a text that can be written as UTF-8."""
    return text.encode("utf-8", "replace").decode()
