"""The loop of a rollout: decide, write the intent, do the step, write the result.

It drives whatever has the two methods of `BoardActions`: real boards, or simulated ones.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from toolkit.fleet.acts import BoardActions
from toolkit.fleet.decide import Decision
from toolkit.fleet.journal import Journal
from toolkit.fleet.policy import Policy


@dataclass(frozen=True)
class RolloutEvent:
    """Something that a person who watches a rollout wants to know."""

    at: float
    """Seconds since 1970."""
    kind: str
    """`begin` or `result` of a step, `change` of a state without a step, `wave`, or `status`."""
    target: str = ""
    """Name of the target; empty for the whole rollout."""
    step: str = ""
    state: str = ""
    """State of the board afterwards."""
    reason: str = ""
    wave: int = 0


def drive_rollout(
    journal: Journal,
    rollout: int,
    policy: Policy,
    actions: BoardActions,
    clock: Callable[[], float],
    watch: Callable[[RolloutEvent], None],
) -> Decision:
    """Go on with a rollout until it is done, paused or stopped.

    It may begin anywhere: the journal says how far the rollout is, and boards with an open intent
    are observed first. The journal must hold the lease.

    Args:
        journal: Journal in which the rollout was begun.
        rollout: Number of the rollout.
        policy: Policy of the rollout.
        actions: Actions on real or simulated boards.
        clock: Seconds since 1970.
        watch: Called with each event, in the thread of the caller.

    Returns:
        Decision of kind `done`, `pause` or `stop`.

    Raises:
        JournalError: The journal cannot be written, or another controller took the lease.
    """
    raise NotImplementedError
