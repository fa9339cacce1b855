"""The states of a board in a rollout, and which may follow which. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from device_agent.contract.release_state import AppState

#: Nothing was done yet.
PENDING = "pending"
#: The release is on the board, verified; `current` is as it was.
STAGED = "staged"
#: The gates before the activation passed.
PROBED = "probed"
#: The release is active, and the board reverts by itself unless it is confirmed.
TRIAL = "trial"
#: The release is active and confirmed.
CONFIRMED = "confirmed"
#: The release was active, and the board went back to the release before.
REVERTED = "reverted"
#: The board refused, a gate said no, or it did not answer after the activation.
FAILED = "failed"
#: The board did not answer until the deadline; the release was not active on it.
UNREACHABLE = "unreachable"
#: The release has nothing for this board, or the operator left it out.
SKIPPED = "skipped"

STATES = (
    PENDING,
    STAGED,
    PROBED,
    TRIAL,
    CONFIRMED,
    REVERTED,
    FAILED,
    UNREACHABLE,
    SKIPPED,
)

#: States in which nothing more is done with a board.
FINAL = frozenset({CONFIRMED, REVERTED, FAILED, UNREACHABLE, SKIPPED})
#: States that count against the failure budget of a wave.
FAILURES = frozenset({REVERTED, FAILED})

#: States that may follow each state. An observation after a crash may find any later one.
FOLLOWERS: Mapping[str, frozenset[str]] = {
    PENDING: frozenset({STAGED, TRIAL, CONFIRMED, REVERTED, FAILED, UNREACHABLE, SKIPPED}),
    STAGED: frozenset({PENDING, PROBED, TRIAL, CONFIRMED, REVERTED, FAILED, UNREACHABLE, SKIPPED}),
    PROBED: frozenset({PENDING, STAGED, TRIAL, CONFIRMED, REVERTED, FAILED, UNREACHABLE, SKIPPED}),
    TRIAL: frozenset({STAGED, PROBED, CONFIRMED, REVERTED, FAILED}),
    CONFIRMED: frozenset({FAILED, REVERTED}),
    REVERTED: frozenset(),
    FAILED: frozenset({REVERTED}),
    UNREACHABLE: frozenset({PENDING}),
    SKIPPED: frozenset(),
}


def may_follow(before: str, after: str) -> bool:
    """Return whether a board may go from one state to another, or stay as it is."""
    return before == after or after in FOLLOWERS[before]


def board_state(
    app: AppState | None, staged: bool, release: str, order: str, order_counter: int
) -> str:
    """Return the state of a board in a rollout, by what the board reports.

    Args:
        app: Releases of the application; `None` where the board has none.
        staged: Whether the release is staged on the board.
        release: Digest of the manifest of the release of the rollout.
        order: Digest of the order of the rollout.
        order_counter: Counter of the order of the rollout.
    """
    if app is not None:
        trial = app.trial
        if trial is not None and trial.activated and trial.order == order:
            return TRIAL
        if trial is None and app.current == release and app.order == order:
            return CONFIRMED
        if app.last_event == "revert" and app.order_counter == order_counter:
            return REVERTED
    return STAGED if staged else PENDING
