"""The rows of the table of growth: one rollout or one fleet of fake boards each."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import targets.provision
import toolkit.fleet.connections
from device_agent.__main__ import board_facts
from targets.inventory import Inventory
from tests.fake_board import FakeBoard, connect_to
from tests.toolkit.bundle.small_bundle import write_small
from tests.toolkit.fleet.fleets import SimulatedRollout, names
from tests.toolkit.fleet.simulated_boards import (
    AWAY,
    BRICK,
    CRASH,
    FAULTS,
    FLAP,
    GOOD,
    HANG,
    LIE,
    MUTE,
    SLOW,
    WRONG,
    probe_results,
)
from toolkit.fleet.acts import ACTIVATE
from toolkit.fleet.engine import RolloutEvent
from toolkit.fleet.journal import open_journal
from toolkit.fleet.policy import MOST_BOARDS, Allowance, Concurrency, Policy, WaveSize
from toolkit.fleet.project import FleetProject
from toolkit.fleet.rollout import plan_rollout
from toolkit.fleet.states import FAILURES, FINAL
from toolkit.fleet.status import read_board_states, remember, statuses_of

#: Virtual seconds whose answers arrive together: what a busy controller takes in at once.
_BATCH_S = 0.1

_POLICY = Policy(
    waves=(WaveSize(fraction=0.02), WaveSize(fraction=0.2), WaveSize(fraction=1)),
    failure_budget=Allowance(MOST_BOARDS, 0.12),
    unreachable=Allowance(MOST_BOARDS, 0.1),
    unreachable_deadline_s=300,
    same_fingerprint=MOST_BOARDS,
    concurrency=Concurrency(total=256, per_jump_host=8, per_site=256),
)

#: Shares of the devices with a fault.
_FEW = {FLAP: 0.05, AWAY: 0.01}
_MANY = {
    **dict.fromkeys((BRICK, MUTE, CRASH, HANG, LIE), 0.02),
    **dict.fromkeys((SLOW, WRONG), 0.015),
    FLAP: 0.05,
}


class Stopwatch:
    """CPU time of this process, and its peak memory."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._memory = memory_bytes("VmRSS")

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Keep the CPU time of a block."""
        start = time.process_time()
        yield
        self.seconds[name] = time.process_time() - start

    def peak_bytes(self) -> int:
        """Return how far the peak lies above the beginning."""
        return memory_bytes("VmHWM") - self._memory


def memory_bytes(field: str) -> int:
    """Return a field of /proc/self/status in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(field)


def measure_simulation(folder: Path, count: int, is_bad: bool) -> dict[str, Any]:
    """Roll out to simulated devices."""
    faults = dict.fromkeys(names(count), GOOD)
    rates, chance = (_MANY if is_bad else _FEW), random.Random(1)
    for name in faults:
        kind = chance.choices((GOOD, *rates), (1 - sum(rates.values()), *rates.values()))
        faults[name] = kind[0]
    for fault in FAULTS:
        probe_results(fault, tuple(sorted(_POLICY.gates.items())))  # loads numpy and scipy
    watch = Stopwatch()
    rollout = SimulatedRollout(folder / "fleet.db", faults, _POLICY)
    rollout.boards.batch_s = _BATCH_S
    watcher = RiskWatcher(rollout)
    with open_journal(rollout.path) as journal:
        journal.take_lease("benchmark")
        start = time.monotonic()
        with watch.measure("rollout"):
            decision = rollout.drive(journal, watcher.watch)
        wall = time.monotonic() - start
    memory = watch.peak_bytes()
    with open_journal(rollout.path) as journal:
        with watch.measure("status"):
            states = rollout.states()
            journal.rollouts()
        with watch.measure("verify"):
            assert journal.verify_chain() == ()
    failed = rollout.failures_by_wave()
    harmed = rollout.harmed_by_wave()
    ended = ", ".join(f"{number:,} {state}" for state, number in sorted(states.items()))
    return {
        **watch.seconds,
        **rollout.seconds,
        "wall": wall,
        "memory": memory,
        "journal": rollout.path.stat().st_size,
        "end": f"{decision.kind}: {ended}",
        "waves": [
            {
                "number": wave.number,
                "size": len(wave.members),
                "budget": wave.budget,
                "failed": failed[wave.number],
                "harmed": harmed[wave.number],
                "at_risk": watcher.most[wave.number],
            }
            for wave in rollout.waves
        ],
    }


class RiskWatcher:
    """Counts by the events how many devices of a wave have a release that is not confirmed."""

    def __init__(self, rollout: SimulatedRollout) -> None:
        self.most = {wave.number: 0 for wave in rollout.waves}
        self._open: dict[int, set[str]] = {wave.number: set() for wave in rollout.waves}

    def watch(self, event: RolloutEvent) -> None:
        """Take in an event."""
        if event.kind == "begin" and event.step == ACTIVATE:
            self._open[event.wave].add(event.target)
            self.most[event.wave] = max(self.most[event.wave], len(self._open[event.wave]))
        elif event.target and event.state in FINAL | FAILURES:
            self._open[event.wave].discard(event.target)


def measure_fake_boards(folder: Path, count: int) -> dict[str, Any]:
    """Plan for fake boards, begin a rollout, and ask for the state of the fleet."""
    all_names = names(count)
    lines = [
        f'[targets.{name}]\naddress = "pi@{name}"\nhost_key = "SHA256:{"A" * 43}"\n'
        f'labels = {{ fleet = "all", site = "site{number % 5}" }}\n'
        for number, name in enumerate(all_names)
    ]
    (folder / "kedge.toml").write_text("\n".join(lines), encoding="utf-8")
    facts = board_facts()
    boards = {name: FakeBoard(folder / "boards" / name, facts=facts) for name in all_names}
    for module in (targets.provision, toolkit.fleet.connections):
        module.connect = connect_to(boards)  # type: ignore[attr-defined]
    bundle = write_small(folder / "cats.bundle")
    watch = Stopwatch()
    with watch.measure("inventory"):
        fleet = FleetProject(Inventory(folder / "kedge.toml"))
        assert len(fleet.targets) == count
    with fleet.connections() as connections:
        with watch.measure("plan"):
            plan = plan_rollout(fleet, bundle, "fleet=all", Policy(), connections, lambda _: None)
        assert all(survey.state for survey in plan.surveys), plan.surveys[0]
        with fleet.journal() as journal:
            journal.take_lease("benchmark")
            with watch.measure("begin"):
                journal.begin_rollout(_start_of(plan), plan.waves)
    # As the command does, without the connections that the plan left open for some of the boards.
    with fleet.connections() as connections, watch.measure("status"), fleet.journal() as journal:
        reports = read_board_states(all_names, connections)
        statuses = statuses_of(reports, remember(journal))
    assert len(statuses) == count
    return {**watch.seconds, "memory": watch.peak_bytes()}


def _start_of(plan: Any) -> Any:
    from toolkit.fleet.journal_records import RolloutStart

    manifest = plan.bundle.manifest
    return RolloutStart(
        manifest.app, plan.bundle.digest, "0" * 64, "release", "benchmark", plan.salt, {}
    )
