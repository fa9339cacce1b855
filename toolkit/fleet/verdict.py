"""What the end of a rollout means for a script. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from toolkit.fleet.journal_reader import FINISHED, PAUSED
from toolkit.fleet.journal_records import BoardLine, RolloutLine
from toolkit.fleet.outcomes import INTEGRITY
from toolkit.fleet.states import CONFIRMED, UNREACHABLE
from toolkit.fleet.survey import BoardSurvey

_DAMAGED, _NO_ANSWER, _REFUSED, _PAUSED = 5, 6, 8, 9


def exit_code_of_refusals(surveys: Sequence[BoardSurvey]) -> int:
    """Return the exit code of a rollout that does not begin, since no board takes part.

    Args:
        surveys: Boards as they were before the rollout.

    Returns:
        0 where a board takes part, so that the rollout can begin. Else 5 where something is damaged
        on a board, 6 where none answers, 8 for other refusals.
    """
    if any(not survey.refusals for survey in surveys):
        return 0
    if any(survey.is_damaged for survey in surveys):
        return _DAMAGED
    return _REFUSED if any(survey.is_reachable for survey in surveys) else _NO_ANSWER


def exit_code_of_rollout(line: RolloutLine, boards: Iterable[BoardLine]) -> int:
    """Return the exit code of a rollout.

    Args:
        line: Rollout.
        boards: Boards of the rollout.

    Returns:
        5 where something was damaged on a board, 9 where the rollout paused, 8 where it stopped or
        a board failed or was refused, 6 where boards did not answer, 0 where all have the release.
    """
    failures = [board for board in boards if board.state != CONFIRMED]
    if any(board.fingerprint.endswith(f": {INTEGRITY}") for board in failures):
        return _DAMAGED
    if line.status == PAUSED:
        return _PAUSED
    if line.status != FINISHED or any(board.state != UNREACHABLE for board in failures):
        return _REFUSED
    return _NO_ANSWER if failures else 0
