"""What the outcome of a step makes of a board. Pure but for the board that it changes."""

from __future__ import annotations

import hashlib

from toolkit.fleet.acts import (
    ACTIVATE,
    CHECK,
    CONFIRM,
    HEALTH,
    INCONCLUSIVE,
    NO_ANSWER,
    OBSERVE,
    PROBE,
    REVERT,
    STAGE,
    SUCCEEDED,
    UNFIT,
    ActOutcome,
)
from toolkit.fleet.board import FleetBoard
from toolkit.fleet.policy import Policy
from toolkit.fleet.states import (
    CONFIRMED,
    FAILED,
    FAILURES,
    FINAL,
    PENDING,
    PROBED,
    REVERTED,
    SKIPPED,
    STAGED,
    TRIAL,
    may_follow,
)

#: Seconds before a board that did not answer is tried again: the first time, and at most.
RETRY_S, MOST_RETRY_S = 5.0, 300.0

#: Number of activations of one board: another one where the order did not arrive, or where the
#: controller was away during the trial.
MOST_ATTEMPTS = 3

#: Causes of boards that an observation finds.
TRIAL_GONE = "the trial ended unconfirmed"
CONTRADICTION = "the board contradicts itself"
NEVER_ARRIVES = "no activation arrives"

_NEXT = {STAGE: STAGED, PROBE: PROBED, ACTIVATE: TRIAL, CONFIRM: CONFIRMED, REVERT: REVERTED}


def settle(board: FleetBoard, outcome: ActOutcome, policy: Policy, now: float) -> None:
    """Change a board by the outcome of a step.

    Args:
        board: Board on which the step ended.
        outcome: Outcome of the step.
        policy: Policy of the rollout.
        now: Seconds since 1970.
    """
    before = board.state
    _settle(board, outcome, policy, now)
    if not may_follow(before, board.state):
        board.reason = f"the board was {before}, and says after {outcome.step}: {board.state}"
        board.fingerprint = CONTRADICTION
        _end(board, FAILED)


def _settle(board: FleetBoard, outcome: ActOutcome, policy: Policy, now: float) -> None:
    if board.state in FINAL and not board.is_uncertain and outcome.step != CHECK:
        if board.state == FAILED and outcome.state == REVERTED:
            board.state, board.reason = REVERTED, outcome.reason or board.reason
        return  # it was given up meanwhile: the answer is in the journal, and changes nothing
    if outcome.result == NO_ANSWER or (outcome.step == OBSERVE and not outcome.state):
        _wait_for(board, outcome, policy, now)
        return
    board.silent_since = board.retry_at = 0.0
    board.tries = 0
    if outcome.result != SUCCEEDED and board.state != TRIAL:
        board.reason, board.fingerprint = outcome.reason, outcome.fingerprint
    if outcome.step == OBSERVE:
        _observe(board, outcome, policy, now)
    elif outcome.step == CHECK:
        _check(board, outcome)
    elif board.state == TRIAL:
        _end_trial(board, outcome)
    elif outcome.result == INCONCLUSIVE and outcome.step in (STAGE, PROBE):
        board.is_inconclusive = True
    else:
        _go_on(board, outcome, policy, now)


def _go_on(board: FleetBoard, outcome: ActOutcome, policy: Policy, now: float) -> None:
    """Settle a step before the trial."""
    if outcome.state:
        state = outcome.state
    elif outcome.result == SUCCEEDED:
        state = _NEXT[outcome.step]
    elif outcome.step == ACTIVATE and outcome.result == INCONCLUSIVE:
        board.is_uncertain = True
        return
    else:
        state = SKIPPED if outcome.result == UNFIT else FAILED
    if state == TRIAL:
        _begin_trial(board, outcome, policy, now)
    else:
        _end(board, state)


def _begin_trial(board: FleetBoard, outcome: ActOutcome, policy: Policy, now: float) -> None:
    left_s = policy.trial_deadline_s if outcome.trial_s is None else outcome.trial_s
    board.state, board.deadline = TRIAL, now + min(left_s, policy.trial_deadline_s)
    board.is_exposed, board.is_uncertain, board.is_healthy = True, False, False


def _end(board: FleetBoard, state: str) -> None:
    """Settle a state in which the release is not on trial."""
    board.state, board.deadline = state, 0.0
    board.is_exposed = board.is_uncertain = board.wants_revert = board.is_healthy = False
    if state == CONFIRMED:
        board.reason = board.fingerprint = ""


def _end_trial(board: FleetBoard, outcome: ActOutcome) -> None:
    if outcome.state in (PENDING, STAGED, PROBED):
        board.reason, board.fingerprint = "its trial is over, and nobody confirmed it", TRIAL_GONE
        _end(board, REVERTED)
    elif outcome.state and outcome.state != TRIAL:
        board.reason = outcome.reason or board.reason
        board.fingerprint = outcome.fingerprint or board.fingerprint
        _end(board, outcome.state)
    elif outcome.result == SUCCEEDED:
        if outcome.step == HEALTH:
            board.is_healthy = True
        elif outcome.step == REVERT and board.is_inconclusive:
            _end(board, STAGED)
        else:
            _end(board, _NEXT[outcome.step])
    elif outcome.step == REVERT:
        board.reason, board.fingerprint = outcome.reason, outcome.fingerprint
        _end(board, FAILED)
    else:
        board.reason, board.fingerprint = outcome.reason, outcome.fingerprint
        board.wants_revert = True
        board.is_inconclusive = outcome.result == INCONCLUSIVE


def _check(board: FleetBoard, outcome: ActOutcome) -> None:
    board.is_checked = True
    if outcome.result == INCONCLUSIVE:
        board.is_inconclusive = True
    elif outcome.result != SUCCEEDED:
        board.state = outcome.state or FAILED


def _observe(board: FleetBoard, outcome: ActOutcome, policy: Policy, now: float) -> None:
    """Settle what a board is, after a step of which the outcome is not known."""
    if outcome.state == TRIAL:
        _begin_trial(board, outcome, policy, now)
        return
    was_away, board.is_orphan = board.is_orphan, False
    state, reason, cause = outcome.state, outcome.reason, outcome.fingerprint
    if state in (PENDING, STAGED) and board.state == TRIAL:
        state, reason, cause = REVERTED, "its trial is over, and nobody confirmed it", TRIAL_GONE
    if state == REVERTED and was_away and board.attempts < MOST_ATTEMPTS:
        state = PROBED  # nobody was there to confirm: no evidence against the release
    if state in (PENDING, STAGED) and board.state in (STAGED, PROBED):
        state = board.state  # the activation never arrived
        if board.attempts >= MOST_ATTEMPTS:
            state, cause = FAILED, NEVER_ARRIVES
            reason = f"{board.attempts} activations did not reach the board"
    if state in FAILURES:
        board.reason, board.fingerprint = reason, cause
    _end(board, state)


def _wait_for(board: FleetBoard, outcome: ActOutcome, policy: Policy, now: float) -> None:
    """Settle a step without an answer: the board is tried again later."""
    if outcome.step in (ACTIVATE, CONFIRM):
        board.is_uncertain = True
    board.silent_since = board.silent_since or now
    if not board.wants_revert:
        board.reason, board.fingerprint = outcome.reason, outcome.fingerprint
    wait_s = min(MOST_RETRY_S, RETRY_S * 2.0 ** min(board.tries, 10))
    if board.is_exposed:
        wait_s = min(wait_s, policy.trial_deadline_s / 10)
    board.tries += 1
    board.retry_at = now + wait_s * _jitter(board.name, board.tries)


def _jitter(name: str, tries: int) -> float:
    """Return a factor of 0.5 to 1, so that boards of one cause are not tried at one moment."""
    digest = hashlib.sha256(f"{name}\0{tries}".encode("utf-8", "surrogateescape")).digest()
    return 0.5 + digest[0] / 510
