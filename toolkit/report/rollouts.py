"""Rollouts of a project as a report shows them, read from the journal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from toolkit.fleet.journal import NAME, open_journal
from toolkit.project import project_folder
from toolkit.report.page.rollout import Rollout, RolloutBoard

#: Digits of a digest that name a release without a version.
_DIGEST_SHOWN = 12


def read_rollouts(project: Path, numbers: Sequence[int]) -> tuple[Rollout, ...]:
    """Read rollouts with the states of their boards.

    Args:
        project: Folder of `kedge.toml`.
        numbers: Numbers of rollouts; each once.

    Raises:
        JournalError: There is no rollout of a number, or the journal cannot be read.
    """
    if not numbers:
        return ()
    rollouts = []
    with open_journal(project_folder(project) / NAME) as journal:
        for number in dict.fromkeys(numbers):
            line = journal.rollout(number)
            boards = [
                RolloutBoard(board.target, board.wave, board.state, board.reason)
                for board in journal.states(number)
            ]
            release = str(line.start.facts.get("version") or line.start.release[:_DIGEST_SHOWN])
            rollouts.append(
                Rollout(
                    number=number,
                    app=line.start.app,
                    release=release,
                    kind=line.start.kind,
                    operator=line.start.operator,
                    status=line.status,
                    begun=line.begun,
                    reasons=line.reasons,
                    boards=tuple(sorted(boards, key=lambda board: (board.wave, board.target))),
                )
            )
    return tuple(rollouts)
