"""The loop of a rollout: decide, write the intent, do the step, write the result.

It drives whatever has the two methods of `BoardActions`: real boards, or simulated ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from toolkit.fleet.acts import (
    ACTIVATE,
    CONFIRM,
    HEALTH,
    OBSERVE,
    REVERT,
    Act,
    ActOutcome,
    BoardActions,
)
from toolkit.fleet.board import FleetBoard
from toolkit.fleet.decide import DONE, PAUSE, STOP, WAIT, Decision, decide
from toolkit.fleet.journal import Journal
from toolkit.fleet.journal_reader import FINISHED, PAUSED, RUNNING, STOPPED, STOPPING
from toolkit.fleet.journal_records import JournalNote
from toolkit.fleet.policy import Policy
from toolkit.fleet.states import PENDING, TRIAL, UNREACHABLE
from toolkit.fleet.tally import ACTIVATION_S, FleetTally, StateChange

#: Longest wait for outcomes, in seconds: how long an operator's wish may go unseen.
_MOST_WAIT_S = 0.5

#: Steps after which the release may be active on a board.
_EXPOSING = frozenset({ACTIVATE, HEALTH, CONFIRM, REVERT})

_LAST_STATUS = {DONE: FINISHED, PAUSE: PAUSED, STOP: STOPPED}


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
    """State of the board, the wave or the rollout afterwards."""
    reason: str = ""
    wave: int = 0
    hint: str = ""
    """Next step for the operator; empty for none."""


Watch = Callable[[RolloutEvent], None]


def drive_rollout(
    journal: Journal,
    rollout: int,
    policy: Policy,
    actions: BoardActions,
    clock: Callable[[], float],
    watch: Watch,
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
    loop = _Loop(journal, rollout, policy, actions, watch)
    loop.resume(clock())
    outcomes: Sequence[ActOutcome] = ()
    while True:
        now = clock()
        decision = loop.turn(outcomes, now)
        if loop.is_over(decision):
            return loop.finish(decision, now)
        wait_s = _MOST_WAIT_S
        if decision.until is not None:
            wait_s = min(wait_s, max(0.0, decision.until - now))
        outcomes = actions.collect(wait_s)


def load_tally(journal: Journal, rollout: int, policy: Policy, now: float) -> FleetTally:
    """Read how far a rollout is.

    Boards with an open intent, and boards on trial, are to be observed first.

    Args:
        journal: Journal in which the rollout was begun.
        rollout: Number of the rollout.
        policy: Policy of the rollout.
        now: Seconds since 1970.

    Raises:
        JournalError: The journal cannot be read.
    """
    boards = journal.boards(rollout)
    for board in boards:
        _recover(board, policy, now)
    return FleetTally(boards, journal.soaks_s(rollout), policy)


def _recover(board: FleetBoard, policy: Policy, now: float) -> None:
    """Let a board be observed of which nobody knows what its last step did."""
    step, board.running = board.running, ""
    if board.deadline or board.state == TRIAL or step in _EXPOSING:
        board.is_exposed = board.is_uncertain = board.is_orphan = True
        board.deadline = now + policy.trial_deadline_s + ACTIVATION_S
    elif step == OBSERVE:
        board.is_uncertain = True
    elif board.state == UNREACHABLE:
        board.state, board.since = PENDING, now


class _Loop:
    """A rollout that goes on."""

    def __init__(
        self, journal: Journal, rollout: int, policy: Policy, actions: BoardActions, watch: Watch
    ) -> None:
        self._journal = journal
        self._rollout = rollout
        self._policy = policy
        self._actions = actions
        self._watch = watch
        self._tally: FleetTally
        self._status = RUNNING
        self._stop_reasons: tuple[str, ...] = ()
        self._wait_reasons: tuple[str, ...] = ()

    def resume(self, now: float) -> None:
        """Read the journal, and note that the rollout goes on."""
        line = self._journal.rollout(self._rollout)
        self._tally = load_tally(self._journal, self._rollout, self._policy, now)
        if line.status in (STOPPING, STOPPED):
            self._status, self._stop_reasons = STOPPING, line.reasons
            self._tally.stop()
        note = JournalNote("status", {"status": self._status, "reasons": self._stop_reasons})
        self._journal.write(self._rollout, now, [note])

    def turn(self, outcomes: Sequence[ActOutcome], now: float) -> Decision:
        """Take in outcomes, decide, and begin what was decided after it is in the journal."""
        notes: list[JournalNote] = []
        events: list[RolloutEvent] = []
        for outcome in outcomes:
            self._take_in(outcome, now, notes, events)
        for change in self._tally.advance(now):
            self._take_in_change(change, now, notes, events)
        decision = decide(self._tally, self._journal.wishes(self._rollout), now)
        if decision.kind == STOP and self._status != STOPPING:
            self._status, self._stop_reasons = STOPPING, decision.reasons
            self._tally.stop()
            notes.append(JournalNote("status", {"status": STOPPING, "reasons": decision.reasons}))
            events.append(
                RolloutEvent(now, "status", state=STOPPING, reason="; ".join(decision.reasons))
            )
        if decision.kind == WAIT and decision.reasons not in ((), self._wait_reasons):
            self._wait_reasons = decision.reasons
            events.append(
                RolloutEvent(now, "status", state="waiting", reason="; ".join(decision.reasons))
            )
        first = len(notes)
        for target, step in decision.steps:
            board = self._tally.begin(target, step, now)
            body = {"step": step, "attempt": board.attempts if step == ACTIVATE else 1}
            notes.append(JournalNote("intent", body, board))
        numbers = self._journal.write(self._rollout, now, notes)
        for event in events:
            self._watch(event)
        for (target, step), intent in zip(decision.steps, numbers[first:], strict=True):
            board = self._tally.boards[target]
            self._watch(RolloutEvent(now, "begin", target, step, board.state, wave=board.wave))
            self._actions.start(Act(target, step, intent, board.attempts))
        return decision

    def is_over(self, decision: Decision) -> bool:
        """Return whether nothing goes on, and nothing begins any more."""
        if decision.kind == WAIT and decision.until is None:
            assert self._tally.running.total, "a rollout waits for nothing"
        if decision.kind not in _LAST_STATUS or decision.steps:
            return False
        return not self._tally.running.total and not self._tally.exposed

    def finish(self, decision: Decision, now: float) -> Decision:
        """Note how the rollout ended."""
        status = _LAST_STATUS[decision.kind]
        reasons = self._stop_reasons or decision.reasons
        note = JournalNote("status", {"status": status, "reasons": reasons})
        self._journal.write(self._rollout, now, [note])
        self._watch(RolloutEvent(now, "status", state=status, reason="; ".join(reasons)))
        return replace(decision, reasons=reasons, until=None)

    def _take_in(
        self,
        outcome: ActOutcome,
        now: float,
        notes: list[JournalNote],
        events: list[RolloutEvent],
    ) -> None:
        change = self._tally.end(outcome, now)
        body: dict[str, Any] = {
            "step": outcome.step,
            "result": outcome.result,
            "state": change.after,
            "reason": outcome.reason,
            "fingerprint": outcome.fingerprint,
            "evidence": dict(outcome.evidence),
        }
        board = self._tally.boards[outcome.target]
        notes.append(JournalNote("result", {k: v for k, v in body.items() if v}, board))
        events.append(
            RolloutEvent(
                now,
                "result",
                outcome.target,
                outcome.step,
                change.after,
                outcome.reason,
                change.wave,
                str(outcome.evidence.get("hint", "")),
            )
        )

    def _take_in_change(
        self,
        change: StateChange,
        now: float,
        notes: list[JournalNote],
        events: list[RolloutEvent],
    ) -> None:
        body = {"state": change.after, "reason": change.reason, "fingerprint": change.fingerprint}
        body = {key: value for key, value in body.items() if value}
        if not change.target:
            notes.append(JournalNote("wave", {"wave": change.wave, "state": change.after}))
            events.append(RolloutEvent(now, "wave", state=change.after, wave=change.wave))
            return
        notes.append(JournalNote("change", body, self._tally.boards[change.target]))
        events.append(
            RolloutEvent(
                now,
                "change",
                change.target,
                state=change.after,
                reason=change.reason,
                wave=change.wave,
            )
        )
