"""Boards that exist only in memory, with faults, driven by a clock of their own.

They do what real boards do in a rollout: stage, be measured, activate on trial, revert by
themselves at the deadline. The gates that judge them are the real ones.
"""

import heapq
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from device_agent.contract.measurement import KernelClass
from toolkit.fleet.acts import (
    ACTIVATE,
    CHECK,
    CONFIRM,
    HEALTH,
    INCONCLUSIVE,
    NO_ANSWER,
    OBSERVE,
    PROBE,
    REFUSED,
    REVERT,
    STAGE,
    SUCCEEDED,
    Act,
    ActOutcome,
)
from toolkit.fleet.states import CONFIRMED, PENDING, REVERTED, STAGED, TRIAL
from toolkit.judge.gates import FAIL, PASS, Evidence, GateResult, HealthAnswer, judge_gates, overall
from toolkit.judge.parity import AGREES, DIFFERS, EQUAL, Parity

#: Faults of boards. The first group harms: the release was active, and the board was not well.
BRICK, MUTE, CRASH, HANG, LIE = "brick", "mute", "crash", "hang", "lie"
SLOW, WRONG, NOISY, FULL, AWAY, FLAP, LATE = (
    "slow",
    "wrong",
    "noisy",
    "full",
    "away",
    "flap",
    "late",
)
GOOD = "good"
HARMFUL = (BRICK, MUTE, CRASH, HANG, LIE)
FAULTS = (*HARMFUL, SLOW, WRONG, NOISY, FULL, AWAY, FLAP, LATE)

KERNELS = KernelClass("x86_64", "ai-edge-litert", "2.3")
#: Seconds after which the controller gives up a step without an answer.
STEP_LIMIT_S = 30.0


def parity(verdict: str) -> Parity:
    return Parity(
        verdict=verdict,
        reason="the same runtime on an equal CPU",
        same_class=True,
        host=KERNELS,
        board=KERNELS,
        samples=32,
        real_inputs=True,
        largest_difference=0 if verdict == EQUAL else 9,
        beyond_one=0 if verdict == EQUAL else 0.5,
        agreement=1 if verdict != DIFFERS else 0.6,
        host_accuracy=None,
        board_accuracy=None,
        accuracy_interval=None,
    )


@cache
def probe_results(fault: str, limits: tuple[tuple[str, float], ...]) -> tuple[GateResult, ...]:
    """The real gates on what a board with this fault shows before the activation."""
    before = (100.0, 101.0, 99.0, 100.5, 100.2, 99.8)
    after = before
    if fault == SLOW:
        after = tuple(1.5 * value for value in before)
    if fault == NOISY:
        after = (60.0, 190.0, 100.0, 150.0, 95.0, 105.0)
    evidence = Evidence(
        parity=parity({WRONG: DIFFERS, FLAP: AGREES}.get(fault, EQUAL)),
        before_us=before,
        after_us=after,
        peak_memory_bytes=40 << 20,
        highest_celsius=55,
        right=960,
        samples=1000,
    )
    return judge_gates(evidence, {name: limit for name, limit in limits if name != "health"})


@dataclass(slots=True)
class SimulatedBoard:
    fault: str = GOOD
    state: str = PENDING
    deadline: float = 0.0
    activations: int = 0
    epoch: int = 0
    was_confirmed: bool = False
    is_dead: bool = False


class SimulatedBoards:
    """All boards of a fleet, and the clock that they live by."""

    def __init__(
        self, faults: Mapping[str, str], gates: Mapping[str, float], seed: int = 0
    ) -> None:
        self.boards = {name: SimulatedBoard(fault) for name, fault in faults.items()}
        self.now = 1_000_000.0
        self.epoch = 1
        self.trial_s = 120.0
        self.limits = tuple(sorted(gates.items()))
        self.batch_s = 0.0
        """Seconds whose answers arrive together."""
        self.most_running = 0
        self._random = random.Random(seed)
        self._pending: list[tuple[float, int, Act]] = []
        self._started = 0

    def clock(self) -> float:
        return self.now

    def harmed(self) -> set[str]:
        """Boards on which a release that does not work was active, as a person would see it."""
        return {
            name
            for name, board in self.boards.items()
            if board.activations and (board.fault in HARMFUL or board.state == REVERTED)
        }

    def forget(self) -> None:
        """Lose the outcomes on their way: the controller died. What was sent still arrives."""
        for at, _, act in sorted(self._pending):
            self.now = max(self.now, at)
            self._answer(act)
        self._pending.clear()

    def start(self, act: Act) -> None:
        self._started += 1
        board = self.boards[act.target]
        lasts_s = self._random.uniform(0.2, 2.0)
        if board.is_dead or board.fault == AWAY or (board.fault == HANG and board.activations):
            lasts_s = STEP_LIMIT_S
        heapq.heappush(self._pending, (self.now + lasts_s, self._started, act))
        self.most_running = max(self.most_running, len(self._pending))

    def collect(self, timeout_s: float) -> Sequence[ActOutcome]:
        until = self.now + timeout_s
        if not self._pending or self._pending[0][0] > until:
            self.now = until
            return ()
        self.now = max(self.now, self._pending[0][0]) + self.batch_s
        outcomes = []
        while self._pending and self._pending[0][0] <= self.now:
            outcomes.append(self._answer(heapq.heappop(self._pending)[2]))
        return outcomes

    def _answer(self, act: Act) -> ActOutcome:
        board = self.boards[act.target]
        if board.state == TRIAL and self.now >= board.deadline:
            board.state = REVERTED
        answers = {
            STAGE: self._stage,
            PROBE: self._probe,
            ACTIVATE: self._activate,
            HEALTH: self._health,
            CONFIRM: self._confirm,
            REVERT: self._revert,
            CHECK: self._check,
            OBSERVE: self._observe,
        }
        is_away = board.fault == AWAY or board.is_dead
        if is_away or (board.fault == FLAP and self._random.random() < 0.3):
            # Half of the lost answers are of steps that the board did.
            if not is_away and self._random.random() < 0.5:
                answers[act.step](act, board)
            return ActOutcome(act.target, act.step, NO_ANSWER, "no answer", "connection timed out")
        return answers[act.step](act, board)

    @staticmethod
    def _stage(act: Act, board: SimulatedBoard) -> ActOutcome:
        if board.fault == FULL:
            return ActOutcome(act.target, STAGE, REFUSED, f"no_space {act.target[:2]}", "disk full")
        if board.state == PENDING:
            board.state = STAGED
        return ActOutcome(act.target, STAGE, SUCCEEDED, evidence={"sent_bytes": 300_000})

    def _probe(self, act: Act, board: SimulatedBoard) -> ActOutcome:
        results = probe_results(board.fault, self.limits)
        verdict = overall(results)
        if verdict == PASS:
            return ActOutcome(act.target, PROBE, SUCCEEDED, evidence={"gates": len(results)})
        said_no = next(result for result in results if result.verdict == verdict)
        result = REFUSED if verdict == FAIL else INCONCLUSIVE
        return ActOutcome(act.target, PROBE, result, f"gate {said_no.name}", said_no.reason)

    def _activate(self, act: Act, board: SimulatedBoard) -> ActOutcome:
        if board.state not in (TRIAL, CONFIRMED):
            board.state, board.deadline = TRIAL, self.now + self.trial_s
            board.activations += 1
            board.epoch = self.epoch
        if board.fault == MUTE:
            board.is_dead = True
            return ActOutcome(act.target, ACTIVATE, NO_ANSWER, "no answer", "connection reset")
        board.is_dead = board.fault == BRICK
        if board.fault == LIE:
            board.state = STAGED
        return ActOutcome(act.target, ACTIVATE, SUCCEEDED, trial_s=board.deadline - self.now)

    def _health(self, act: Act, board: SimulatedBoard) -> ActOutcome:
        if board.fault == HANG:
            return ActOutcome(act.target, HEALTH, NO_ANSWER, "no answer", "no answer in 30 s")
        answer = HealthAnswer(1 if board.fault == CRASH else 0, "model.tflite: aborted", 12.0)
        (gate,) = judge_gates(Evidence(health=answer), {"health": 1})
        if gate.verdict == PASS:
            return ActOutcome(act.target, HEALTH, SUCCEEDED)
        return ActOutcome(act.target, HEALTH, REFUSED, "gate health", gate.reason)

    @staticmethod
    def _confirm(act: Act, board: SimulatedBoard) -> ActOutcome:
        if board.state == TRIAL:
            board.state = CONFIRMED
        if board.state != CONFIRMED:
            reason = "the board says that nothing is on trial"
            return ActOutcome(act.target, CONFIRM, REFUSED, "on_trial", reason)
        board.was_confirmed = True
        return ActOutcome(act.target, CONFIRM, SUCCEEDED)

    @staticmethod
    def _revert(act: Act, board: SimulatedBoard) -> ActOutcome:
        if board.state in (TRIAL, CONFIRMED):
            board.state = REVERTED
        return ActOutcome(act.target, REVERT, SUCCEEDED)

    @staticmethod
    def _check(act: Act, board: SimulatedBoard) -> ActOutcome:
        if board.fault == LATE:
            return ActOutcome(act.target, CHECK, REFUSED, f"late {act.target}", "it leaks memory")
        return ActOutcome(act.target, CHECK, SUCCEEDED)

    @staticmethod
    def _observe(act: Act, board: SimulatedBoard) -> ActOutcome:
        return ActOutcome(
            act.target,
            OBSERVE,
            SUCCEEDED,
            reason="the deadline passed" if board.state == REVERTED else "",
            fingerprint="trial ended" if board.state == REVERTED else "",
            state=board.state,
            trial_s=board.deadline if board.state == TRIAL else None,
        )
