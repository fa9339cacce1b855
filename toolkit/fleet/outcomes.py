"""What the error of a step says about its board. Pure."""

from __future__ import annotations

import re

from converters.errors import ConversionError
from device_agent.contract.codes import (
    BUSY,
    CHILD_DIED,
    HOOK_FAILED,
    ON_TRIAL,
    STALE_EPOCH,
    IntegrityError,
)
from targets.agent_client import AgentError
from targets.board_disk import BoardDiskError
from targets.errors import TargetError
from targets.transport import DeadlineError, UnreachableError
from toolkit.errors import ToolkitError
from toolkit.fleet.acts import ACTIVATE, NO_ANSWER, REFUSED, Act, ActOutcome
from toolkit.fleet.states import REVERTED

#: Errors of a single board.
BoardError = TargetError | IntegrityError | ConversionError | ToolkitError

#: Codes with which a board says that it is to be asked again later.
_LATER = frozenset({BUSY, ON_TRIAL})

_SIGNAL = re.compile(r"SIG[A-Z]{2,6}")

#: Cause where a digest, a size or a signature differs.
INTEGRITY = "integrity"

#: Characters of a reason in the journal.
_MOST_REASON = 2000


def is_fenced_off(error: BaseException) -> bool:
    """Whether a board obeys another controller by now, so that this one must not go on."""
    return isinstance(error, AgentError) and error.code == STALE_EPOCH


def outcome_of_error(act: Act, error: BoardError) -> ActOutcome:
    """Return the outcome of a step that ended with an error.

    Args:
        act: Step.
        error: Error of the board.
    """
    reason = str(error)[:_MOST_REASON]
    evidence = {"exit_code": error.exit_code, "hint": error.hint}
    if isinstance(error, UnreachableError | DeadlineError):
        return ActOutcome(act.target, act.step, NO_ANSWER, reason=reason, evidence=evidence)
    if isinstance(error, AgentError) and error.code in _LATER:
        return ActOutcome(act.target, act.step, NO_ANSWER, reason=reason, evidence=evidence)
    is_back = act.step == ACTIVATE and isinstance(error, AgentError) and error.code == HOOK_FAILED
    return ActOutcome(
        act.target,
        act.step,
        REFUSED,
        fingerprint=f"{act.step}: {cause_of(error)}",
        reason=reason,
        evidence=evidence,
        state=REVERTED if is_back else "",
    )


def cause_of(error: BoardError) -> str:
    """Return the cause of an error: a code of the board, or the kind of the error."""
    if isinstance(error, AgentError):
        signal = _SIGNAL.search(str(error)) if error.code == CHILD_DIED else None
        return f"{error.code} {signal[0]}" if signal else error.code
    if isinstance(error, IntegrityError):
        return INTEGRITY
    return error.code if isinstance(error, BoardDiskError) else type(error).__name__
