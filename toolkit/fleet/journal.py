"""The journal of all rollouts of a project: `.kedge/fleet.db` beside `kedge.toml`.

The intent is written before a board is touched, and the result after. Each row carries a hash of
itself and of the row before. One controller at a time holds the lease; its epoch is higher than
each epoch before, and boards refuse a lower one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit.fleet.waves import Wave

NAME = "fleet.db"


@dataclass(frozen=True)
class RolloutStart:
    """What a rollout is, as its first row of the journal says."""

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
    """`running`, `paused`, `stopped` or `done`."""
    reasons: tuple[str, ...]
    """Reasons for a pause or a stop."""
    status_since: float
    """Seconds since 1970."""
    boards: Mapping[str, int]
    """Number of boards by state."""


@dataclass(frozen=True)
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
    variant: str = ""
    """Variant of the release that the board gets."""
    deadline: float = 0.0
    """Seconds since 1970 at which the trial ends by itself; 0 for no trial."""
    attempts: int = 0
    """Number of activations that were begun."""


@dataclass(frozen=True)
class Wishes:
    """What the operator wants of a rollout."""

    pause: bool = False
    stop: bool = False
    reason: str = ""
    """Reason in words."""


@dataclass(frozen=True)
class JournalRow:
    """One row of the journal."""

    number: int
    at: float
    """Seconds since 1970."""
    epoch: int
    """Epoch of the controller that wrote it; 0 for a wish of an operator."""
    who: str
    """Person and program that wrote it."""
    rollout: int
    kind: str
    """`begin`, `intent`, `result`, `change`, `wish`, `status`, `join` or `rebuild`."""
    target: str
    """Name of the target; empty for the whole rollout."""
    body: Mapping[str, Any]
    """Plain values: step, result, state, reason, evidence."""


class Journal:
    """An open journal."""

    epoch: int = 0
    """Epoch of this controller; 0 before `take_lease`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def take_lease(self, who: str) -> int:
        """Become the controller; return the epoch, higher than every one before.

        Raises:
            LeaseError: Another controller runs.
        """
        raise NotImplementedError

    def begin_rollout(self, start: RolloutStart, waves: Sequence[Wave]) -> int:
        """Begin a rollout; return its number."""
        raise NotImplementedError

    def wish(self, rollout: int, wish: str, who: str, reason: str = "") -> None:
        """Write what the operator wants: `pause`, `resume` or `stop`; no lease is needed."""
        raise NotImplementedError

    def wishes(self, rollout: int) -> Wishes:
        """Return what the operator wants of a rollout."""
        raise NotImplementedError

    def rollouts(self) -> tuple[RolloutLine, ...]:
        """Return all rollouts, the newest first."""
        raise NotImplementedError

    def states(self, rollout: int) -> Iterator[BoardLine]:
        """Iterate over the boards of a rollout in the order of their names."""
        raise NotImplementedError

    def history(self, rollout: int = 0, target: str = "") -> Iterator[JournalRow]:
        """Iterate over the rows of the journal, the oldest first.

        Args:
            rollout: Number of the rollout; 0 for all.
            target: Name of the target; empty for all.
        """
        raise NotImplementedError

    def verify_chain(self) -> tuple[str, ...]:
        """Return what does not fit in the chain of rows, in words with their numbers."""
        raise NotImplementedError


@contextmanager
def open_journal(path: Path) -> Iterator[Journal]:
    """Open the journal, making it when it is missing.

    Raises:
        JournalError: The file is no journal of ours, of a newer kedge, or cannot be opened.
    """
    yield Journal(path)
