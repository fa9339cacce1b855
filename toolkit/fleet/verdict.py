"""What the end of a rollout means for a script. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from toolkit.fleet.journal_reader import FINISHED, PAUSED
from toolkit.fleet.journal_records import BoardLine, RolloutLine
from toolkit.fleet.states import FAILURES, UNREACHABLE

_DAMAGED, _NO_ANSWER, _REFUSED, _PAUSED = 5, 6, 8, 9


def exit_code_of_rollout(line: RolloutLine, boards: Iterable[BoardLine]) -> int:
    """Return the exit code of a rollout.

    Args:
        line: Rollout.
        boards: Boards of the rollout.

    Returns:
        5 where something was damaged on a board, 8 where the rollout stopped or a board failed, 9
        where it paused, 6 where boards did not answer, else 0.
    """
    failures = [board for board in boards if board.state in FAILURES | {UNREACHABLE}]
    if any(board.fingerprint.endswith(": integrity") for board in failures):
        return _DAMAGED
    if line.status == PAUSED:
        return _PAUSED
    if line.status != FINISHED or any(board.state in FAILURES for board in failures):
        return _REFUSED
    return _NO_ANSWER if failures else 0
