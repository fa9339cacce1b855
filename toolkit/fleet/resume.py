"""What an operator decides before a rollout goes on: which one, and without which boards."""

from __future__ import annotations

from collections.abc import Collection

from toolkit.fleet.journal import Journal
from toolkit.fleet.journal_file import JournalError
from toolkit.fleet.journal_reader import FINISHED, STOPPED, JournalReader
from toolkit.fleet.journal_records import JournalNote, RolloutLine
from toolkit.fleet.states import FINAL, SKIPPED, TRIAL, UNREACHABLE


def find_resumable(journal: JournalReader, number: int | None) -> RolloutLine:
    """Return the rollout that goes on.

    Args:
        journal: Journal.
        number: Number of a rollout that is not over, or that is done without all of its boards;
            `None` for the newest one that is not over.

    Raises:
        JournalError: There is none.
    """
    for line in journal.rollouts():
        is_open = line.status not in (FINISHED, STOPPED)
        has_rest = line.status == FINISHED and line.boards.get(UNREACHABLE)
        if (is_open and number is None) or (number == line.number and (is_open or has_rest)):
            return line
    raise JournalError(
        f"rollout {number} is over, or there is none" if number else "every rollout is over",
        "kedge fleet status shows the rollouts; kedge fleet rollout begins one.",
    )


def skip_boards(
    journal: Journal, rollout: int, targets: Collection[str], reason: str, at: float
) -> None:
    """Leave boards out of a rollout, all of them or none.

    Args:
        journal: Journal whose lease this process holds; the rollout does not go on meanwhile.
        rollout: Number of the rollout.
        targets: Names of boards of the rollout on which the release was not activated.
        reason: Reason in words.
        at: Seconds since 1970.

    Raises:
        JournalError: A board is not in the rollout, is done with, or may have the release active.
    """
    boards = {board.name: board for board in journal.boards(rollout)}
    notes = []
    for target in targets:
        board = boards.get(target)
        if board is None:
            raise JournalError(
                f"{target} is not in rollout {rollout}", "kedge fleet status shows its boards."
            )
        if board.state in FINAL - {UNREACHABLE}:
            raise JournalError(f"{target} is {board.state} already", "Leave its name out.")
        if board.state == TRIAL or board.deadline:
            raise JournalError(
                f"the release may be active on {target}: it is {board.state}",
                "Resume the rollout without leaving it out; its trial comes to an end first.",
            )
        board.state, board.since, board.running = SKIPPED, at, ""
        board.reason, board.fingerprint = reason, ""
        notes.append(JournalNote("change", {"state": SKIPPED, "reason": reason}, board))
    journal.write(rollout, at, notes)
