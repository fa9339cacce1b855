"""The journal of all rollouts of a project: `.kedge/fleet.db` beside `kedge.toml`.

The intent is written before a board is touched, and the result after. Each row carries a hash of
itself and of the row before. One controller at a time holds the lease; its epoch is higher than
each epoch before, and boards refuse a lower one.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from toolkit.fleet.chain import encode_body, next_hash
from toolkit.fleet.journal_file import (
    JournalError,
    LeaseError,
    open_journal_file,
    transaction,
)
from toolkit.fleet.journal_reader import FINISHED, RUNNING, STOPPED, JournalReader
from toolkit.fleet.journal_records import (
    JournalNote,
    RolloutStart,
    board_columns,
    clean_text,
    plain_member,
)
from toolkit.fleet.lease import hold_lease
from toolkit.fleet.waves import Member, Wave

NAME = "fleet.db"

#: Boards in one row of the members of a rollout.
_MEMBERS_A_ROW = 200


class Journal(JournalReader):
    """An open journal."""

    epoch: int = 0
    """Epoch of this controller; 0 before `take_lease`."""

    def __init__(self, database: sqlite3.Connection, path: Path, closing: ExitStack) -> None:
        super().__init__(database, path)
        self._closing = closing
        self._who = ""

    def take_lease(self, who: str, least_epoch: int = 0) -> int:
        """Become the controller until the journal is closed.

        Args:
            who: Person and program.
            least_epoch: Highest epoch that a board reports; the new one is higher.

        Returns:
            Epoch, higher than every one before.

        Raises:
            LeaseError: Another controller runs.
            JournalError: The journal cannot be written.
        """
        if not self.epoch:
            self._closing.enter_context(hold_lease(self.path, who))
        self._who = clean_text(who)
        with transaction(self.database, self.path):
            (last,) = self.database.execute("SELECT epoch FROM head").fetchone()
            epoch = max(int(last), least_epoch) + 1
            self.database.execute("UPDATE head SET epoch = ?", (epoch,))
            self.epoch = epoch
            self._append(time.time(), 0, [("lease", "", {"epoch": epoch})])
        return epoch

    def begin_rollout(
        self, start: RolloutStart, waves: Sequence[Wave], at: float | None = None
    ) -> int:
        """Begin a rollout; return its number.

        Args:
            start: Description of the rollout.
            waves: Boards by wave.
            at: Seconds since 1970; now where `None`.

        Raises:
            JournalError: The journal cannot be written, or another controller took over.
        """
        now = time.time() if at is None else at
        with transaction(self.database, self.path):
            self.require_lease()
            query = "SELECT coalesce(max(number), 0) + 1 FROM rollout"
            rollout = int(self.database.execute(query).fetchone()[0])
            soaks = [wave.soak_s for wave in waves]
            body = {**asdict(start), "soaks_s": soaks}
            (entry,) = self._append(now, rollout, [("begin", "", body)])
            self.database.execute(
                "INSERT INTO rollout VALUES (?, ?, ?, ?, '[]', 0, 0, '')",
                (rollout, entry, RUNNING, now),
            )
            place = 0
            for wave in waves:
                self._add_members(rollout, wave.number, wave.members, place, now)
                place += len(wave.members)
        return rollout

    def join_wave(self, rollout: int, wave: int, members: Sequence[Member], at: float) -> None:
        """Add boards to a rollout that began already.

        Args:
            rollout: Number of the rollout.
            wave: Number of the wave.
            members: Boards that are not in the rollout.
            at: Seconds since 1970.

        Raises:
            JournalError: The journal cannot be written, or another controller took over.
        """
        with transaction(self.database, self.path):
            self.require_lease()
            query = "SELECT count(*) FROM board WHERE rollout = ?"
            (place,) = self.database.execute(query, (rollout,)).fetchone()
            self._add_members(rollout, wave, members, place, at)

    def write(self, rollout: int, at: float, notes: Sequence[JournalNote]) -> list[int]:
        """Write rows, all or none; return the number of each. They are on the disk then.

        Args:
            rollout: Number of the rollout.
            at: Seconds since 1970.
            notes: Rows in their order.

        Raises:
            LeaseError: Another controller took over.
            JournalError: The journal cannot be written.
        """
        if not notes:
            return []
        with transaction(self.database, self.path):
            self.require_lease()
            rows = [(note.kind, note.target, note.body) for note in notes]
            numbers = self._append(at, rollout, rows)
            boards = {note.board.name: note.board for note in notes if note.board}
            self.database.executemany(
                "UPDATE board SET state = ?, since = ?, step = ?, reason = ?, fingerprint = ?, "
                "deadline = ?, attempts = ?, checked = ? WHERE rollout = ? AND target = ?",
                [(*board_columns(board), rollout, board.name) for board in boards.values()],
            )
            for note in notes:
                if note.kind == "status":
                    reasons = json.dumps(list(note.body.get("reasons", ())))
                    self.database.execute(
                        "UPDATE rollout SET status = ?, since = ?, reasons = ? WHERE number = ?",
                        (note.body["status"], at, reasons, rollout),
                    )
        return numbers

    def wish(self, rollout: int, wish: str, who: str, reason: str = "") -> None:
        """Write what the operator wants; no lease is needed.

        Args:
            rollout: Number of the rollout.
            wish: `pause`, `resume` or `stop`.
            who: Person and program.
            reason: Reason in words.

        Raises:
            JournalError: There is no such rollout, it was stopped, or it is done.
        """
        values = {"pause": "pause = 1", "resume": "pause = 0", "stop": "stop = 1"}[wish]
        with transaction(self.database, self.path):
            status = self.status(rollout)
            if status == STOPPED or (status == FINISHED and wish != "resume"):
                raise JournalError(
                    f"rollout {rollout} is {status}, so it cannot {wish}",
                    "kedge fleet status lists the rollouts; a stopped one is begun anew.",
                )
            self.database.execute(
                f"UPDATE rollout SET {values}, wish_reason = ? WHERE number = ?",
                (clean_text(reason), rollout),
            )
            body = {"wish": wish, "reason": clean_text(reason)}
            self._append(time.time(), rollout, [("wish", "", body)], (clean_text(who), 0))

    def require_lease(self) -> None:
        """Refuse to go on where another controller took over.

        Raises:
            LeaseError: Another controller took the lease, or this one never had it.
        """
        (epoch,) = self.database.execute("SELECT epoch FROM head").fetchone()
        if not self.epoch or epoch != self.epoch:
            raise LeaseError(
                f"another controller took over (epoch {epoch}, this one had {self.epoch})",
                "Leave it to that one; kedge fleet status shows how far it is.",
            )

    def note(self, kind: str, body: Mapping[str, Any], target: str = "") -> int:
        """Write a row that belongs to no rollout; return its number.

        Args:
            kind: Kind of the row, such as `restore` or `check`.
            body: Plain values.
            target: Name of the target; empty for none.

        Raises:
            JournalError: The journal cannot be written, or another controller took over.
        """
        with transaction(self.database, self.path):
            self.require_lease()
            return self._append(time.time(), 0, [(kind, target, body)])[0]

    def _add_members(
        self, rollout: int, wave: int, members: Sequence[Member], place: int, at: float
    ) -> None:
        plain = [plain_member(member) for member in members]
        parts = [
            plain[first : first + _MEMBERS_A_ROW] for first in range(0, len(plain), _MEMBERS_A_ROW)
        ]
        rows = [("members", "", {"wave": wave, "members": part}) for part in parts]
        self._append(at, rollout, rows)
        self.database.executemany(
            "INSERT INTO board VALUES (?, ?, ?, ?, ?, 'pending', ?, '', '', '', 0, 0, 0)",
            [
                (rollout, member.name, wave, number, json.dumps(plain_member(member)), at)
                for number, member in enumerate(members, place)
            ],
        )

    def _append(
        self,
        at: float,
        rollout: int,
        rows: Sequence[tuple[str, str, Mapping[str, Any]]],
        author: tuple[str, int] | None = None,
    ) -> list[int]:
        """Write rows of kind, target and body inside a transaction; return their numbers."""
        number, digest = self.database.execute("SELECT number, hash FROM head").fetchone()
        who, epoch = (self._who, self.epoch) if author is None else author
        entries = []
        for kind, target, body in rows:
            number += 1
            entry = (number, float(at), epoch, who, rollout, kind, target, encode_body(body))
            digest = next_hash(digest, entry)
            entries.append((*entry, digest))
        statement = "INSERT INTO entry VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
        self.database.executemany(statement, entries)
        self.database.execute("UPDATE head SET number = ?, hash = ?", (number, digest))
        return [entry[0] for entry in entries]


@contextmanager
def open_journal(path: Path) -> Iterator[Journal]:
    """Open the journal, making it when it is missing.

    Args:
        path: File of the journal.

    Raises:
        JournalError: The file is no journal of ours, of a newer kedge, or cannot be opened.
    """
    with open_journal_file(path) as database, ExitStack() as closing:
        yield Journal(database, path, closing)
