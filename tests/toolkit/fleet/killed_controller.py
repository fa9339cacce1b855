"""A controller that is killed at every single point of a rollout, and resumed by another one.

Run as a program: `python -m tests.toolkit.fleet.killed_controller FOLDER`. It prints one JSON
object: the number of points, and what did not hold at one of them. It is a process of its own,
since it forks.
"""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.toolkit.fleet.fleets import START, members_of, names
from toolkit.fleet.acts import ACTIVATE, OBSERVE, SUCCEEDED, Act, ActOutcome
from toolkit.fleet.engine import drive_rollout
from toolkit.fleet.journal import open_journal
from toolkit.fleet.policy import Policy, WaveSize
from toolkit.fleet.states import CONFIRMED, PENDING, STAGED, TRIAL
from toolkit.fleet.waves import plan_waves

POLICY = Policy(waves=(WaveSize(count=1), WaveSize(fraction=1)), gates={"health": 1})
STATES = {"stage": STAGED, "activate": TRIAL, "confirm": CONFIRMED}


class FileBoards:
    """Boards whose states are in a file, so that they survive the controller."""

    def __init__(self, folder: Path, point: Callable[[], None]) -> None:
        self._path = folder / "boards.json"
        self._point = point
        self._outcomes: list[ActOutcome] = []

    def read(self) -> dict[str, Any]:
        if not self._path.exists():
            return {"states": {}, "acts": [], "activations": {}}
        plain: dict[str, Any] = json.loads(self._path.read_text())
        return plain

    def start(self, act: Act) -> None:
        self._point()
        boards = self.read()
        state = boards["states"].get(act.target, PENDING)
        if act.step == ACTIVATE and state == STAGED:
            boards["activations"][act.target] = boards["activations"].get(act.target, 0) + 1
        after = STATES.get(act.step, state)
        boards["states"][act.target] = max(state, after, key=[PENDING, *STATES.values()].index)
        boards["acts"].append([act.intent, act.target, act.step])
        other = self._path.with_suffix(".new")
        other.write_text(json.dumps(boards))
        other.replace(self._path)
        self._point()
        observed = boards["states"][act.target] if act.step == OBSERVE else ""
        self._outcomes.append(ActOutcome(act.target, act.step, SUCCEEDED, state=observed))

    def collect(self, timeout_s: float) -> Sequence[ActOutcome]:
        del timeout_s
        outcomes, self._outcomes = self._outcomes, []
        return outcomes


def control(folder: Path, kill_at: int) -> int:
    """Run or resume the rollout; return the number of points. Is killed at one of them."""
    points = 0

    def point() -> None:
        nonlocal points
        points += 1
        if points == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    with open_journal(folder / "fleet.db") as journal:
        journal.database.set_trace_callback(
            lambda statement: None if statement.startswith("SELECT") else point()
        )
        journal.take_lease("Ada")
        lines = journal.rollouts()
        if lines:
            rollout = lines[0].number
        else:
            waves = plan_waves(members_of(names(2)), POLICY, START.salt)
            rollout = journal.begin_rollout(START, waves)
        boards = FileBoards(folder, point)
        drive_rollout(journal, rollout, POLICY, boards, time.time, lambda _: None)
    return points


def kill_at_point(folder: Path, kill_at: int) -> bool:
    """Run a controller in a process of its own; return whether it was killed."""
    child = os.fork()
    if child == 0:
        control(folder, kill_at)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL


def check(folder: Path) -> list[str]:
    """What does not hold after a controller was killed."""
    problems = []
    with open_journal(folder / "fleet.db") as journal:
        problems += journal.verify_chain()
        intents = {
            row.number: [row.target, row.body["step"]]
            for row in journal.history()
            if row.kind == "intent"
        }
    for intent, target, step in FileBoards(folder, lambda: None).read()["acts"]:
        if intents.get(intent) != [target, step]:
            problems.append(f"{step} on {target} happened without an intent in the journal")
    return problems


def check_end(folder: Path) -> list[str]:
    """What does not hold after the rollout was resumed to its end."""
    boards = FileBoards(folder, lambda: None).read()
    problems = check(folder)
    if boards["activations"] != dict.fromkeys(names(2), 1):
        problems.append(f"activations: {boards['activations']}")
    with open_journal(folder / "fleet.db") as journal:
        states = {line.target: line.state for line in journal.states(1)}
        if states != dict.fromkeys(names(2), CONFIRMED) or journal.status(1) != "done":
            problems.append(f"the journal says {states}, {journal.status(1)}")
    return problems


def main(folder: Path) -> None:
    problems: list[str] = []
    point = 0
    while True:
        point += 1
        place = folder / "project"
        place.mkdir()
        if not kill_at_point(place, point):
            break
        problems += [f"point {point}: {problem}" for problem in check(place)]
        control(place, 0)
        problems += [f"point {point}, resumed: {problem}" for problem in check_end(place)]
        shutil.rmtree(place)
    sys.stdout.write(json.dumps({"points": point - 1, "problems": problems}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
