"""Reading of the journal: rollouts, boards, history, and the check of its chain."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from toolkit.fleet.board import FleetBoard
from toolkit.fleet.chain import MOST_PROBLEMS, JournalRow, find_breaks
from toolkit.fleet.decide import Wishes
from toolkit.fleet.journal_file import (
    JournalError,
    translate_journal_errors,
    translate_row_errors,
)
from toolkit.fleet.journal_records import BoardLine, RolloutLine, RolloutStart, read_board

#: Statuses of a rollout. A rollout that is stopping lets boards on trial revert.
RUNNING, PAUSED, STOPPING, STOPPED, FINISHED = "running", "paused", "stopping", "stopped", "done"

_COLUMNS = "number, at, epoch, who, rollout, kind, target, body"


class JournalReader:
    """An open journal that is read."""

    def __init__(self, database: sqlite3.Connection, path: Path) -> None:
        self.database = database
        self.path = path

    def wishes(self, rollout: int) -> Wishes:
        """Return what the operator wants of a rollout.

        Raises:
            JournalError: The journal cannot be read.
        """
        query = "SELECT pause, stop, wish_reason FROM rollout WHERE number = ?"
        with translate_journal_errors(self.path):
            row = self.database.execute(query, (rollout,)).fetchone()
        if row is None:
            return Wishes()
        return Wishes(bool(row[0]), bool(row[1]), row[2])

    def status(self, rollout: int) -> str:
        """Return the status of a rollout.

        Raises:
            JournalError: There is no such rollout.
        """
        query = "SELECT status FROM rollout WHERE number = ?"
        with translate_journal_errors(self.path):
            row = self.database.execute(query, (rollout,)).fetchone()
        if row is None:
            raise JournalError(f"there is no rollout {rollout}", "kedge fleet history lists them.")
        return str(row[0])

    def boards(self, rollout: int) -> list[FleetBoard]:
        """Return the boards of a rollout in the order in which they are activated.

        Raises:
            JournalError: The journal cannot be read.
        """
        query = (
            "SELECT member, wave, state, since, step, attempts, deadline, reason, fingerprint, "
            "checked FROM board WHERE rollout = ? ORDER BY place"
        )
        with translate_journal_errors(self.path), translate_row_errors(self.path):
            return [read_board(row) for row in self.database.execute(query, (rollout,))]

    def states(self, rollout: int) -> Iterator[BoardLine]:
        """Iterate over the boards of a rollout in the order of their names.

        Raises:
            JournalError: The journal cannot be read.
        """
        query = (
            "SELECT target, wave, state, since, step, reason, fingerprint, deadline, attempts, "
            "member FROM board WHERE rollout = ? ORDER BY target"
        )
        with translate_journal_errors(self.path):
            for row in self.database.execute(query, (rollout,)):
                with translate_row_errors(self.path):
                    columns = (*row[:-1], str(json.loads(row[-1])[6]))
                yield BoardLine(*columns)

    def rollouts(self) -> tuple[RolloutLine, ...]:
        """Return all rollouts, the newest first.

        Raises:
            JournalError: The journal cannot be read.
        """
        counts: dict[int, Counter[str]] = defaultdict(Counter)
        with translate_journal_errors(self.path):
            query = "SELECT rollout, state, count(*) FROM board GROUP BY rollout, state"
            for rollout, state, count in self.database.execute(query):
                counts[rollout][state] = count
            query = (
                "SELECT rollout.number, status, since, reasons, at, body FROM rollout "
                "JOIN entry ON entry.number = rollout.entry ORDER BY rollout.number DESC"
            )
            rows = self.database.execute(query).fetchall()
        with translate_row_errors(self.path):
            return tuple(
                RolloutLine(
                    number=number,
                    start=_start_of(json.loads(body)),
                    begun=float(begun),
                    status=status,
                    reasons=tuple(json.loads(reasons)),
                    status_since=float(since),
                    boards=dict(counts[number]),
                )
                for number, status, since, reasons, begun, body in rows
            )

    def rollout(self, number: int) -> RolloutLine:
        """Return one rollout.

        Raises:
            JournalError: There is no such rollout.
        """
        for line in self.rollouts():
            if line.number == number:
                return line
        raise JournalError(f"there is no rollout {number}", "kedge fleet history lists them.")

    def soaks_s(self, rollout: int) -> tuple[float, ...]:
        """Return the seconds of soak after each wave of a rollout.

        Raises:
            JournalError: There is no such rollout.
        """
        self.status(rollout)
        query = "SELECT body FROM entry JOIN rollout ON entry.number = rollout.entry "
        query += "WHERE rollout.number = ?"
        with translate_journal_errors(self.path), translate_row_errors(self.path):
            (body,) = self.database.execute(query, (rollout,)).fetchone()
            return tuple(map(float, json.loads(body)["soaks_s"]))

    def history(self, rollout: int = 0, target: str = "") -> Iterator[JournalRow]:
        """Iterate over the rows of the journal, the oldest first.

        Args:
            rollout: Number of the rollout; 0 for all.
            target: Name of the target; empty for all.

        Raises:
            JournalError: The journal cannot be read.
        """
        query = (
            f"SELECT {_COLUMNS} FROM entry WHERE ? IN (0, rollout) AND ? IN ('', target) "
            "ORDER BY number"
        )
        with translate_journal_errors(self.path):
            for row in self.database.execute(query, (rollout, target)):
                with translate_row_errors(self.path):
                    columns = (row[0], float(row[1]), *row[2:-1], _body_of(row[-1]))
                yield JournalRow(*columns)

    def verify_chain(self) -> tuple[str, ...]:
        """Return what does not fit in the chain of rows, in words with their numbers.

        The states of boards and rollouts are compared with what the rows say.

        Raises:
            JournalError: The journal cannot be read.
        """
        problems: list[str] = []
        with translate_journal_errors(self.path), translate_row_errors(self.path):
            head = self.database.execute("SELECT number, hash FROM head").fetchone()
            rows = self.database.execute(f"SELECT {_COLUMNS}, hash FROM entry ORDER BY number")
            for problem in find_breaks(rows, head):
                problems.append(problem)
                if len(problems) == MOST_PROBLEMS:
                    return (*problems, "there may be more")
            if not problems:
                problems += self._differences()
        return tuple(problems[:MOST_PROBLEMS])

    def _differences(self) -> list[str]:
        """Return the boards and rollouts whose tables differ from the rows."""
        states: dict[tuple[int, str], str] = {}
        statuses: dict[int, str] = {}
        for row in self.history():
            if row.kind == "begin":
                statuses[row.rollout] = RUNNING
            elif row.kind == "members":
                states.update(
                    {(row.rollout, member[0]): "pending" for member in row.body["members"]}
                )
            elif row.kind == "status":
                statuses[row.rollout] = row.body["status"]
            elif row.target and row.rollout and "state" in row.body:
                states[row.rollout, row.target] = row.body["state"]
        problems = []
        for rollout, target, state in self.database.execute(
            "SELECT rollout, target, state FROM board"
        ):
            expected = states.pop((rollout, target), "absent")
            if state != expected:
                problems.append(
                    f"rollout {rollout}: {target} is {state} by its table, {expected} by the rows"
                )
        problems += [f"rollout {number}: {name} is missing in its table" for number, name in states]
        for rollout, status in self.database.execute("SELECT number, status FROM rollout"):
            if status != statuses.pop(rollout, "absent"):
                problems.append(f"rollout {rollout}: its status differs from the rows")
        return problems


def _start_of(plain: Mapping[str, Any]) -> RolloutStart:
    names = RolloutStart.__dataclass_fields__
    start = RolloutStart(**{name: plain[name] for name in names if name in plain})
    for value in (start.policy, start.facts):
        if not isinstance(value, dict):
            raise TypeError("a rollout whose policy or facts are no table")
    return start


def _body_of(text: str) -> Mapping[str, Any]:
    try:
        body = json.loads(text)
    except ValueError:
        return {"damaged": text[:200]}
    return body if isinstance(body, dict) else {"damaged": text[:200]}
