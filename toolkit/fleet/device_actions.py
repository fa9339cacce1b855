"""Does the steps of a rollout on real boards, in a pool of threads."""

from __future__ import annotations

import queue
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import get_args

from targets.inventory import Target
from toolkit.fleet.acts import ACTIVATE, HEALTH, REFUSED, STAGE, Act, ActOutcome
from toolkit.fleet.board_steps import RolloutWork, do_step
from toolkit.fleet.connections import BoardConnections
from toolkit.fleet.journal_file import LeaseError
from toolkit.fleet.outcomes import BoardError, is_fenced_off, outcome_of_error

#: Steps after which the next step of the board follows soon.
_GOES_ON = frozenset({STAGE, ACTIVATE, HEALTH})

_BOARD_ERRORS = get_args(BoardError)

#: Seconds that open steps may take when a controller ends; then their threads are left alone.
_END_S = 5.0


class DeviceActions:
    """Steps on the boards of one rollout; see `BoardActions`."""

    def __init__(
        self,
        work: RolloutWork,
        targets: Mapping[str, Target],
        connections: BoardConnections,
        on_idle: Callable[[], None],
    ) -> None:
        """Start no step yet.

        Args:
            work: Rollout.
            targets: Targets by name, as kedge.toml has them now.
            connections: Connections to them.
            on_idle: Called in the thread of the loop each time before it waits.
        """
        self._work = work
        self._targets = targets
        self._connections = connections
        self._on_idle = on_idle
        self._outcomes: queue.SimpleQueue[ActOutcome | BaseException] = queue.SimpleQueue()
        self._pool = ThreadPoolExecutor(work.policy.concurrency.total)
        self._reasons: dict[str, str] = {}
        """Reason of the last failure by name of the target: why it reverts."""

    def start(self, act: Act) -> None:
        """Begin a step and return at once; see `BoardActions.start`."""
        self._pool.submit(self._run, act)

    def collect(self, timeout_s: float) -> Sequence[ActOutcome]:
        """Return outcomes; see `BoardActions.collect`.

        Raises:
            LeaseError: A board obeys another controller by now.
        """
        self._on_idle()
        outcomes: list[ActOutcome] = []
        wait_s = timeout_s
        while True:
            try:
                outcome = self._outcomes.get(timeout=max(0.001, wait_s))
            except queue.Empty:
                return outcomes
            if isinstance(outcome, BaseException):
                raise outcome
            if outcome.result == REFUSED:
                self._reasons[outcome.target] = outcome.reason
            outcomes.append(outcome)
            wait_s = 0.0

    def close(self) -> None:
        """Start nothing more; steps that go on end by themselves."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        for thread in [*self._pool._threads]:
            thread.join(_END_S)

    def _run(self, act: Act) -> None:
        try:
            self._outcomes.put(self._outcome(act))
        except BaseException as error:  # a bug, or the lease: the loop raises it
            self._outcomes.put(error)

    def _outcome(self, act: Act) -> ActOutcome:
        if act.target not in self._targets:
            reason = "it is not in kedge.toml any more"
            return ActOutcome(act.target, act.step, REFUSED, f"{act.step}: absent", reason)
        try:
            with self._connections.open(act.target, act.step in _GOES_ON) as device:
                return do_step(device, act, self._work, self._reasons.get(act.target, ""))
        except _BOARD_ERRORS as error:
            if is_fenced_off(error):
                raise LeaseError(
                    f"another controller has taken over: {error}",
                    "Leave the fleet to that one. If it is gone for good: kedge fleet resume.",
                ) from error
            return outcome_of_error(act, error)
