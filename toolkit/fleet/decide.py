"""What a rollout does next. Pure: the tally of the boards and the time in, a decision out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from device_agent.contract.signed_text import time_text
from toolkit.fleet.acts import ACTIVATE, CHECK, PROBE, STAGE
from toolkit.fleet.ready import Room, Windows
from toolkit.fleet.tally import AGAIN, URGENT, FleetTally
from toolkit.fleet.windows import next_opening

RUN, WAIT, PAUSE, STOP, DONE = "run", "wait", "pause", "stop", "done"

#: Number of names in a reason.
_MOST_NAMES = 5


@dataclass(frozen=True)
class Wishes:
    """Wishes of the operator for a rollout."""

    pause: bool = False
    stop: bool = False
    reason: str = ""
    """Reason in words."""


@dataclass(frozen=True)
class Decision:
    """Next steps of a rollout, and its status."""

    kind: str
    """`run`: begin the steps; `wait`: nothing can begin before `until`, or before a step ends;
    `pause` and `stop`: begin only the steps that bring boards on trial to an end; `done`: nothing
    is left."""
    steps: tuple[tuple[str, str], ...] = ()
    """Names of targets with the steps to begin on them."""
    reasons: tuple[str, ...] = ()
    """Reasons for a pause, a stop or a wait, in words."""
    until: float | None = None
    """Time of the next thing that happens by itself, seconds since 1970; `None` for none."""


def decide(tally: FleetTally, wishes: Wishes, now: float) -> Decision:
    """Decide what to do now.

    Args:
        tally: Boards of the rollout after `FleetTally.advance(now)`.
        wishes: Wishes of the operator.
        now: Seconds since 1970.
    """
    room = Room(tally.policy.concurrency, tally.running)
    reasons = stop_reasons(tally, wishes)
    if reasons or tally.is_stopping:
        steps = tuple(_urgent_steps(tally, room, stopping=True))
        return Decision(STOP, steps, reasons, tally.next_time())
    urgent = list(_urgent_steps(tally, room, stopping=False))
    reasons = pause_reasons(tally, wishes)
    if reasons:
        return Decision(PAUSE, tuple(urgent), reasons, tally.next_time())
    if tally.wave is None and not tally.running.total and not urgent:
        return Decision(DONE)
    openings = _Openings(tally, now)
    steps = (*urgent, *_planned_steps(tally, room, openings.is_open))
    if steps:
        return Decision(RUN, steps)
    until = min(openings.times(), default=None)
    times = [at for at in (until, tally.next_time()) if at is not None]
    return Decision(WAIT, (), _wait_reasons(tally, until), min(times, default=None))


def stop_reasons(tally: FleetTally, wishes: Wishes) -> tuple[str, ...]:
    """Return why a rollout must stop, in words; empty where it need not."""
    reasons = []
    if wishes.stop and not tally.is_stopping:
        reasons.append(wishes.reason or "the operator stopped it")
    for wave in tally.waves:
        if wave.failures >= wave.budget:
            reasons.append(
                f"wave {wave.number}: {wave.failures} of {wave.size} failed, and the failure "
                f"budget of the wave is {wave.budget}"
            )
    same = tally.fingerprints[tally.commonest]
    if same >= tally.policy.same_fingerprint:
        boards = "1 board" if same == 1 else f"{same} boards"
        reasons.append(f"{boards} failed for one cause: {tally.commonest}")
    return tuple(reasons)


def pause_reasons(tally: FleetTally, wishes: Wishes) -> tuple[str, ...]:
    """Return why a rollout must pause, in words; empty where it need not."""
    reasons = []
    if wishes.pause:
        reasons.append(wishes.reason or "the operator paused it")
    if tally.inconclusive:
        names = ", ".join(islice(tally.inconclusive, _MOST_NAMES))
        more = len(tally.inconclusive) - _MOST_NAMES
        names += f" and {more} more" if more > 0 else ""
        reasons.append(f"a gate is inconclusive on {names}")
    for wave in tally.waves:
        if wave.unreachable >= wave.unreachable_budget:
            reasons.append(
                f"wave {wave.number}: {wave.unreachable} of {wave.size} did not answer within "
                f"{tally.policy.unreachable_deadline_s:g} s, and the budget of the wave for "
                f"unreachable boards is {wave.unreachable_budget}"
            )
    return tuple(reasons)


class _Openings:
    """Maintenance windows at one moment; each combination is computed once."""

    def __init__(self, tally: FleetTally, now: float) -> None:
        self._tally = tally
        self._now = now
        self._times: dict[Windows, float] = {(): now}

    def is_open(self, windows: Windows) -> bool:
        if windows not in self._times:
            all_windows = self._tally.policy.windows
            opening = next_opening((all_windows[number] for number in windows), self._now)
            self._times[windows] = opening
        return self._times[windows] <= self._now

    def times(self) -> list[float]:
        """Return when closed windows open for which boards wait."""
        names = (PROBE, ACTIVATE, AGAIN[PROBE], AGAIN[ACTIVATE])
        queues = [self._tally.queues[name] for name in names]
        waiting = {windows for queue in queues for windows in queue.windows()}
        return [self._times[windows] for windows in waiting if not self.is_open(windows)]


def _urgent_steps(tally: FleetTally, room: Room, stopping: bool) -> Iterator[tuple[str, str]]:
    """Choose steps that bring boards on trial to an end."""
    queue = tally.queues[URGENT]
    for board in queue.choose(room, len(queue), _always):
        yield board.name, board.next_step(stopping, tally.policy.probes)


def _planned_steps(
    tally: FleetTally, room: Room, is_open: Callable[[Windows], bool]
) -> Iterator[tuple[str, str]]:
    """Choose steps in the order of a rollout: stage everywhere, probe the wave, activate it."""
    queues, running = tally.queues, tally.running.steps
    for step in (CHECK, STAGE):
        for queue in (queues[AGAIN[step]], queues[step]):
            for board in queue.choose(room, len(queue), _always):
                yield board.name, step
    wave = tally.wave
    if wave is None or len(queues[STAGE]) or running[STAGE]:
        return
    for queue in (queues[AGAIN[PROBE]], queues[PROBE]):
        for board in queue.choose(room, len(queue), is_open):
            yield board.name, PROBE
    if queues[PROBE].has_open(is_open) or running[PROBE]:
        return
    again = queues[AGAIN[ACTIVATE]]
    for queue, most in ((again, len(again)), (queues[ACTIVATE], wave.room)):
        for board in queue.choose(room, most, is_open):
            yield board.name, ACTIVATE


def _wait_reasons(tally: FleetTally, opening: float | None) -> tuple[str, ...]:
    wave, reasons = tally.wave, []
    if wave is not None and wave.is_done and not wave.is_checking:
        end = time_text(wave.last_confirmed + wave.soak_s)
        reasons.append(f"wave {wave.number} soaks until {end}")
    if opening is not None:
        reasons.append(f"the next maintenance window opens at {time_text(opening)}")
    return tuple(reasons)


def _always(_: Windows) -> bool:
    return True
