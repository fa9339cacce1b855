"""What a rollout does with one board, and how it came out: what engine and board code agree on.

Every step is idempotent: it may be repeated for one order, in one epoch and after a crash.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

#: Checks the board, sends what is absent, and stages the release. It does not touch `current`.
STAGE = "stage"
#: Measures the staged release beside the active one, and judges the gates.
PROBE = "probe"
#: Activates the release on trial.
ACTIVATE = "activate"
#: Runs the health gate of the release on trial.
HEALTH = "health"
#: Confirms the release on trial.
CONFIRM = "confirm"
#: Ends the trial with the release before.
REVERT = "revert"
#: Runs the health gate of a confirmed release, after the soak of its wave.
CHECK = "check"
#: Asks the board for its state, and changes nothing.
OBSERVE = "observe"
STEPS = (STAGE, PROBE, ACTIVATE, HEALTH, CONFIRM, REVERT, CHECK, OBSERVE)

#: Results of a step.
SUCCEEDED, REFUSED, NO_ANSWER, INCONCLUSIVE, UNFIT = (
    "succeeded",
    "failed",
    "unreachable",
    "inconclusive",
    "skipped",
)
RESULTS = (SUCCEEDED, REFUSED, NO_ANSWER, INCONCLUSIVE, UNFIT)


@dataclass(frozen=True)
class Act:
    """One step on one board, whose intent is in the journal."""

    target: str
    step: str
    """One of `STEPS`."""
    intent: int
    """Number of the intent in the journal."""
    attempt: int = 1
    """Number of the attempt, 1 for the first."""


@dataclass(frozen=True)
class ActOutcome:
    """How a step on a board ended."""

    target: str
    step: str
    """One of `STEPS`."""
    result: str
    """`succeeded`; `failed` (the board or a gate said no); `unreachable` (no answer: what happened
    on the board is not known); `inconclusive` (a gate could not be judged); `skipped` (the release
    has nothing for this board)."""
    fingerprint: str = ""
    """Cause of a failure without names, numbers and times: equal on two boards that fail for the
    same cause; empty for none."""
    reason: str = ""
    """Reason in words, for people; empty where it succeeded."""
    evidence: Mapping[str, Any] = field(default_factory=dict)
    """Plain values for the journal: gates with their figures, bytes, durations."""
    state: str = ""
    """State of `toolkit.fleet.states` in which the board is known to be now. An observation names
    it; the others where it is not what follows from step and result, such as `reverted` for an
    activation after which the board went back by itself."""
    trial_s: float | None = None
    """Seconds until the board reverts by itself; of an activation, or of an observation that finds
    a trial."""


class BoardActions(Protocol):
    """Runner of the steps on boards, real or simulated ones."""

    def start(self, act: Act) -> None:
        """Begin a step and return at once; every step that began gets one outcome."""

    def collect(self, timeout_s: float) -> Sequence[ActOutcome]:
        """Return outcomes, in any order.

        Args:
            timeout_s: Seconds to wait for the first one; afterwards the answer is empty.
        """
