"""Steps on one board, of which the trial ends by itself meanwhile."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from device_agent.contract.codes import NOT_FOUND
from device_agent.contract.release_state import AppState, BoardReleases, TrialState
from targets.agent_client import AgentError
from targets.device import Device
from targets.releases import HookRun
from toolkit.fleet.acts import HEALTH, REFUSED, SUCCEEDED, Act
from toolkit.fleet.board_steps import RolloutWork, do_step
from toolkit.fleet.shadow import measure_in_shadow
from toolkit.fleet.states import REVERTED
from toolkit.judge.gates import Evidence

OLD, NEW, ORDER = "a" * 64, "b" * 64, "c" * 64
ON_TRIAL = AppState(
    *(NEW, OLD, "2.0", "cpu_int8", 1.5, OLD, 2, 1, 0, "activate", ""),
    trial=TrialState(OLD, NEW, ORDER, 1, 5.0, activated=True),
)
GONE_BACK = replace(ON_TRIAL, current=OLD, last_event="revert", last_reason="too late", trial=None)


class OneBoard:
    """A board that answers with one state before the health command, and another one after it."""

    def __init__(self, after: AppState, answer: HookRun | AgentError) -> None:
        self.target = SimpleNamespace(hooks=True)
        self.releases = self
        self._app = ON_TRIAL
        self._after, self._answer = after, answer

    def state(self) -> BoardReleases:
        return BoardReleases(apps={"door": self._app})

    def health(self, app: str) -> HookRun:
        self._app = self._after
        if isinstance(self._answer, AgentError):
            raise self._answer
        return self._answer


def work() -> RolloutWork:
    manifest = SimpleNamespace(app="door", hooks=SimpleNamespace(health=["/bin/true"]))
    order = SimpleNamespace(digest=ORDER, order=SimpleNamespace(counter=2))
    bundle = SimpleNamespace(digest=NEW)
    fields: Any = SimpleNamespace(
        manifest=manifest, order=order, bundle=bundle, limits={"health": 1.0}
    )
    return cast("RolloutWork", fields)


@pytest.mark.parametrize(
    "answer",
    [
        HookRun(124, "", 60_000.0),
        HookRun(0, "", 5.0),
        AgentError(NOT_FOUND, "no active release"),
    ],
)
def test_a_trial_that_ended_during_the_health_command_is_reverted(
    answer: HookRun | AgentError,
) -> None:
    board = cast("Device", OneBoard(GONE_BACK, answer))
    outcome = do_step(board, Act("front", HEALTH, 1), work())

    assert (outcome.result, outcome.state) == (REFUSED, REVERTED)
    assert "went back by itself: too late" in outcome.reason


def test_a_trial_that_goes_on_is_judged_by_the_health_command() -> None:
    well = cast("Device", OneBoard(ON_TRIAL, HookRun(0, "", 5.0)))
    sick = cast("Device", OneBoard(ON_TRIAL, HookRun(1, "", 5.0)))
    refusing = cast("Device", OneBoard(ON_TRIAL, AgentError(NOT_FOUND, "none")))

    assert do_step(well, Act("front", HEALTH, 1), work()).result == SUCCEEDED
    assert do_step(sick, Act("front", HEALTH, 1), work()).fingerprint == "gate health"
    with pytest.raises(AgentError):
        do_step(refusing, Act("front", HEALTH, 1), work())


def test_where_no_gate_measures_no_runtime_is_needed() -> None:
    nobody: Any = object()
    assert measure_in_shadow(nobody, nobody, None, {"health": 1.0}, nobody) == Evidence()
