"""All boards of a running rollout, with every number that a decision needs kept up to date.

Time and memory a board do not grow with the fleet: nothing goes through all boards after the start.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from toolkit.fleet.acts import ACTIVATE, CHECK, PROBE, STAGE, ActOutcome
from toolkit.fleet.board import FleetBoard
from toolkit.fleet.policy import Policy
from toolkit.fleet.ready import Occupation, ReadyBoards
from toolkit.fleet.states import (
    CONFIRMED,
    FAILED,
    FAILURES,
    UNREACHABLE,
)
from toolkit.fleet.transitions import settle
from toolkit.fleet.wave_tally import WaveTally

#: Seconds that an activation may take before the board's own deadline begins.
ACTIVATION_S = 60.0

#: Cause of boards that answer no more after the activation.
SILENT = "silent after the activation"

#: Steps that wait in a queue of their own; all others are urgent.
_QUEUES = (STAGE, PROBE, ACTIVATE, CHECK)
URGENT = "urgent"

#: Queues of boards that did not answer to a step, and are tried again before the others; of the
#: activation those that are at risk already, so that they need no more room.
AGAIN = {step: f"{step} again" for step in _QUEUES}

_RETRY, _DEADLINE, _GIVE_UP, _SOAK = "retry", "deadline", "give up", "soak"


@dataclass(frozen=True, slots=True)
class StateChange:
    """A board went from one state to another, or its wave went on, without a step."""

    target: str
    """Name of the target; empty for a wave."""
    wave: int
    before: str
    after: str
    reason: str = ""
    fingerprint: str = ""


class FleetTally:
    """The boards of one rollout."""

    def __init__(self, boards: Iterable[FleetBoard], soaks_s: Iterable[float], policy: Policy):
        """Count the boards as they are.

        Args:
            boards: Boards in the order in which they are activated.
            soaks_s: Seconds of soak after each wave.
            policy: Policy of the rollout.
        """
        self.policy = policy
        self.boards = {board.name: board for board in boards}
        self.waves = [WaveTally(number, soak) for number, soak in enumerate(soaks_s, 1)]
        self.current = 0
        """Index of the first wave that is not over; the number of waves where all are."""
        self.queues = {name: ReadyBoards() for name in (*_QUEUES, *AGAIN.values(), URGENT)}
        self.running = Occupation()
        self.exposed = 0
        """Number of boards on which the release may be active without being confirmed."""
        self.inconclusive: dict[str, None] = {}
        """Names of the boards of which a gate could not be judged."""
        self.fingerprints: Counter[str] = Counter()
        """Number of failed boards by cause."""
        self.commonest = ""
        """Cause of most failed boards; empty for none."""
        self.is_stopping = False
        self._timers: list[tuple[float, int, str, str]] = []
        self._timer_count = 0
        self._members: list[list[str]] = [[] for _ in self.waves]
        sizes = Counter(board.wave for board in self.boards.values())
        for wave in self.waves:
            wave.resize(sizes[wave.number], policy)
        for board in self.boards.values():
            self._members[board.wave - 1].append(board.name)
            self._count(board, 1)
            if board.state == CONFIRMED:
                wave = self.waves[board.wave - 1]
                wave.last_confirmed = max(wave.last_confirmed, board.since)
            if board.state in FAILURES:
                self._count_cause(board.fingerprint)
            if board.deadline:
                self._set_timer(board.deadline, _DEADLINE, board.name)
            self._enqueue(board)

    @property
    def wave(self) -> WaveTally | None:
        """First wave that is not over; `None` where all are."""
        return self.waves[self.current] if self.current < len(self.waves) else None

    def next_time(self) -> float | None:
        """Return when something happens by itself next, seconds since 1970; `None` for never."""
        while self._timers and self._is_overtaken(*self._timers[0]):
            heapq.heappop(self._timers)
        return self._timers[0][0] if self._timers else None

    def begin(self, target: str, step: str, now: float) -> FleetBoard:
        """Note that a step begins on a board.

        Args:
            target: Name of the target, on which nothing goes on.
            step: Step of `toolkit.fleet.acts`.
            now: Seconds since 1970.
        """
        board = self.boards[target]
        self._dequeue(board)
        self._count(board, -1)
        board.running = step
        if step == ACTIVATE:
            board.attempts += 1
            board.is_exposed = True
            board.deadline = now + self.policy.trial_deadline_s + ACTIVATION_S
            self._set_timer(board.deadline, _DEADLINE, target)
        self._count(board, 1)
        self.running.enter(board, step)
        return board

    def end(self, outcome: ActOutcome, now: float) -> StateChange:
        """Note how a step ended; return what it changed.

        Args:
            outcome: Outcome of the step that goes on with the board.
            now: Seconds since 1970.
        """
        board = self.boards[outcome.target]
        before = board.state
        self.running.leave(board, board.running)
        self._count(board, -1)
        board.running = ""
        settle(board, outcome, self.policy, now)
        if board.state != before:
            board.since = now
        self._count(board, 1)
        self._note_state(board, before, now)
        if board.silent_since and board.silent_since == now and not board.is_exposed:
            self._set_timer(now + self.policy.unreachable_deadline_s, _GIVE_UP, board.name)
        if board.deadline:
            self._set_timer(board.deadline, _DEADLINE, board.name)
        if board.retry_at > now:
            self._set_timer(board.retry_at, _RETRY, board.name)
        else:
            self._enqueue(board)
        return self._change(board, before)

    def advance(self, now: float) -> list[StateChange]:
        """Let happen what happens by itself until now; return what it changed.

        Boards on trial that did not answer until their deadline fail, boards that never answered
        are given up, and a wave that is over gives way to the next.
        """
        changes: list[StateChange] = []
        while (self.next_time() or now + 1) <= now:
            _, _, kind, name = heapq.heappop(self._timers)
            if kind != _SOAK:
                changes += self._expire(self.boards[name], kind, now)
        while not self.is_stopping and self._go_on(now, changes):
            pass
        return changes

    def stop(self) -> None:
        """Let boards on trial revert, and begin nothing else."""
        self.is_stopping = True

    def _go_on(self, now: float, changes: list[StateChange]) -> bool:
        """Go on to the check of the current wave, or to the next wave; return whether it did."""
        wave = self.wave
        if wave is None or not wave.is_done:
            return False
        has_soak = wave.soak_s > 0 and wave.states[CONFIRMED]
        soak_end = wave.last_confirmed + wave.soak_s
        if has_soak and not wave.is_checking:
            if now < soak_end:
                if (self.next_time() or soak_end + 1) > soak_end:
                    self._set_timer(soak_end, _SOAK, "")
                return False
            wave.is_checking = True
            self._enqueue_wave(self.current)
            changes.append(StateChange("", wave.number, "soak", "check"))
        if has_soak and not wave.is_checked:
            return False
        self.current += 1
        changes.append(StateChange("", wave.number, "running", "over"))
        if self.current < len(self.waves):
            self._enqueue_wave(self.current)
        return True

    def _enqueue_wave(self, index: int) -> None:
        for name in self._members[index]:
            self._enqueue(self.boards[name])

    def _is_overtaken(self, at: float, _: int, kind: str, name: str) -> bool:
        """Return whether a timer has nothing to say any more."""
        if kind == _SOAK:
            return False
        board = self.boards[name]
        if kind == _RETRY:
            return board.retry_at != at
        if kind == _DEADLINE:
            return not board.is_exposed or board.deadline != at
        if board.silent_since + self.policy.unreachable_deadline_s != at or board.is_exposed:
            return True
        return board.is_final and (board.state != CONFIRMED or board.is_checked)

    def _expire(self, board: FleetBoard, kind: str, now: float) -> list[StateChange]:
        """Do what a timer says."""
        if kind == _RETRY:
            board.retry_at = 0.0
            self._enqueue(board)
            return []
        before = board.state
        if kind == _DEADLINE:
            after, reason, cause = FAILED, "it did not answer until the end of its trial", SILENT
        elif board.state == CONFIRMED or board.is_at_risk:
            after, reason, cause = FAILED, board.reason, SILENT
        else:
            after, reason, cause = UNREACHABLE, board.reason, ""
        self._dequeue(board)
        self._count(board, -1)
        board.state, board.since, board.reason, board.fingerprint = after, now, reason, cause
        board.is_exposed = board.is_uncertain = board.wants_revert = False
        board.deadline = board.retry_at = 0.0
        self._count(board, 1)
        self._note_state(board, before, now)
        return [self._change(board, before)]

    def _note_state(self, board: FleetBoard, before: str, now: float) -> None:
        if board.state in FAILURES and before not in FAILURES:
            self._count_cause(board.fingerprint)
        if board.state == CONFIRMED and before != CONFIRMED:
            self.waves[board.wave - 1].last_confirmed = now

    def _count_cause(self, fingerprint: str) -> None:
        if fingerprint:
            self.fingerprints[fingerprint] += 1
            if self.fingerprints[fingerprint] > self.fingerprints[self.commonest]:
                self.commonest = fingerprint

    def _count(self, board: FleetBoard, number: int) -> None:
        self.waves[board.wave - 1].count(board, number)
        self.exposed += number * board.is_exposed
        if board.is_inconclusive and number > 0:
            self.inconclusive[board.name] = None
        elif board.is_inconclusive:
            del self.inconclusive[board.name]

    def _enqueue(self, board: FleetBoard) -> None:
        """Let a board wait for its next step, if it has one now."""
        step = board.next_step(False, self.policy.probes)
        if not step or board.running or board.retry_at:
            return
        if step in (PROBE, ACTIVATE) and board.wave - 1 != self.current:
            return
        if step == CHECK and (board.is_checked or not self.waves[board.wave - 1].is_checking):
            return
        is_again = board.is_at_risk if step == ACTIVATE else board.tries > 0
        queue = AGAIN.get(step, URGENT) if is_again or step not in _QUEUES else step
        self.queues[queue].add(board)

    def _dequeue(self, board: FleetBoard) -> None:
        for queue in self.queues.values():
            queue.discard(board)

    def _set_timer(self, at: float, kind: str, name: str) -> None:
        self._timer_count += 1
        heapq.heappush(self._timers, (at, self._timer_count, kind, name))

    @staticmethod
    def _change(board: FleetBoard, before: str) -> StateChange:
        return StateChange(
            board.name, board.wave, before, board.state, board.reason, board.fingerprint
        )
