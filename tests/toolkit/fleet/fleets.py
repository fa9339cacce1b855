"""Rollouts over simulated boards: the real planner, decisions, loop and journal."""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests.toolkit.fleet.simulated_boards import SimulatedBoards
from toolkit.fleet.decide import Decision
from toolkit.fleet.engine import RolloutEvent, Watch, drive_rollout
from toolkit.fleet.journal import Journal, open_journal
from toolkit.fleet.journal_records import BoardLine, RolloutStart
from toolkit.fleet.policy import Policy
from toolkit.fleet.states import FAILURES
from toolkit.fleet.waves import Member, Wave, plan_waves

START = RolloutStart(
    app="detector",
    release="ab" * 32,
    order="cd" * 32,
    kind="release",
    operator="Ada",
    salt="salt",
    policy={},
)


def members_of(names: Iterable[str]) -> list[Member]:
    """Boards of three kinds at five sites behind two jump hosts."""
    return [
        Member(
            name,
            board=("rpi4", "rpi5", "coral")[number % 3],
            runtime="litert",
            site=f"site{number % 5}",
            jump=("", "jump1", "jump2")[number % 3],
        )
        for number, name in enumerate(sorted(names))
    ]


def names(count: int) -> list[str]:
    return [f"board{number:05}" for number in range(count)]


class SimulatedRollout:
    """One rollout in a journal of its own."""

    def __init__(
        self, path: Path, faults: Mapping[str, str], policy: Policy, seed: int = 0
    ) -> None:
        self.path = path
        self.policy = policy
        self.boards = SimulatedBoards(faults, policy.gates, seed)
        self.boards.trial_s = policy.trial_deadline_s
        self.events: list[RolloutEvent] = []
        self.seconds: dict[str, float] = {}
        """CPU time of the plan and of the begin."""
        members, start = members_of(faults), time.process_time()
        self.waves: tuple[Wave, ...] = plan_waves(members, policy, START.salt)
        self.seconds["plan"] = time.process_time() - start
        with open_journal(path) as journal:
            journal.take_lease("Ada")
            start = time.process_time()
            self.number = journal.begin_rollout(START, self.waves, self.boards.now)
            self.seconds["begin"] = time.process_time() - start

    def run(self) -> Decision:
        with open_journal(self.path) as journal:
            journal.take_lease("Ada")
            return self.drive(journal, self.events.append)

    def drive(self, journal: Journal, watch: Watch) -> Decision:
        self.boards.epoch = journal.epoch
        return drive_rollout(
            journal, self.number, self.policy, self.boards, self.boards.clock, watch
        )

    def lines(self) -> list[BoardLine]:
        with open_journal(self.path) as journal:
            return list(journal.states(self.number))

    def states(self) -> Counter[str]:
        return Counter(line.state for line in self.lines())

    def harmed_by_wave(self) -> dict[int, int]:
        harmed = self.boards.harmed()
        return {
            wave.number: sum(member.name in harmed for member in wave.members)
            for wave in self.waves
        }

    def failures_by_wave(self) -> Counter[int]:
        return Counter(line.wave for line in self.lines() if line.state in FAILURES)

    def budgets(self) -> dict[int, int]:
        return {wave.number: wave.budget for wave in self.waves}
