"""Single decisions: what follows from an outcome, in words that an operator understands."""

from device_agent.contract.release_state import AppState, TrialState
from toolkit.fleet.acts import (
    ACTIVATE,
    CONFIRM,
    HEALTH,
    INCONCLUSIVE,
    NO_ANSWER,
    OBSERVE,
    REFUSED,
    REVERT,
    STAGE,
    SUCCEEDED,
    UNFIT,
    ActOutcome,
)
from toolkit.fleet.board import FleetBoard
from toolkit.fleet.decide import DONE, PAUSE, RUN, STOP, WAIT, Decision, Wishes, decide
from toolkit.fleet.policy import Allowance, Policy, WaveSize
from toolkit.fleet.states import (
    CONFIRMED,
    FAILED,
    PENDING,
    PROBED,
    REVERTED,
    SKIPPED,
    STAGED,
    STATES,
    TRIAL,
    UNREACHABLE,
    board_state,
    may_follow,
)
from toolkit.fleet.tally import FleetTally
from toolkit.fleet.waves import Member
from toolkit.fleet.windows import Window

#: No gate before the activation, so that a staged board can be activated.
POLICY = Policy(
    waves=(WaveSize(count=1), WaveSize(fraction=1)),
    gates={"health": 1},
    failure_budget=Allowance(1, 1.0),
    unreachable=Allowance(1, 1.0),
    unreachable_deadline_s=100,
    trial_deadline_s=60,
)
APP = AppState("new", "old", "2", "cpu", 0, "order", 5, 5, 0, "confirm", "")


def tally_of(*states: str, policy: Policy = POLICY, **fields: object) -> FleetTally:
    """One board a wave, named a, b, c."""
    boards = [
        FleetBoard(Member("abcdef"[number]), number + 1, state, **fields)  # type: ignore[arg-type]
        for number, state in enumerate(states)
    ]
    tally = FleetTally(boards, [0.0] * len(states), policy)
    tally.advance(0.0)
    return tally


def step(tally: FleetTally, outcome: ActOutcome, now: float = 1.0) -> str:
    """Let a step happen on a board; return the state of the board."""
    tally.begin(outcome.target, outcome.step, now)
    change = tally.end(outcome, now)
    tally.advance(now)
    return change.after


def decision(tally: FleetTally, now: float = 1.0, **wishes: object) -> Decision:
    return decide(tally, Wishes(**wishes), now)  # type: ignore[arg-type]


def test_every_state_has_a_way() -> None:
    assert may_follow(PENDING, STAGED)
    assert not may_follow(CONFIRMED, TRIAL)
    assert not may_follow(REVERTED, TRIAL)
    assert all(may_follow(state, state) for state in STATES)


def test_stage_everywhere_then_activate_the_first_wave_only() -> None:
    tally = tally_of(PENDING, PENDING)

    assert decision(tally).steps == (("a", STAGE), ("b", STAGE))
    step(tally, ActOutcome("a", STAGE, SUCCEEDED))
    assert decision(tally).steps == (("b", STAGE),)
    step(tally, ActOutcome("b", STAGE, SUCCEEDED))
    assert decision(tally).steps == (("a", ACTIVATE),)


def test_the_next_wave_waits_for_the_confirmation() -> None:
    tally = tally_of(STAGED, STAGED)

    step(tally, ActOutcome("a", ACTIVATE, SUCCEEDED, trial_s=50))
    assert decision(tally) == Decision(RUN, (("a", HEALTH),))
    step(tally, ActOutcome("a", HEALTH, SUCCEEDED))
    assert decision(tally).steps == (("a", CONFIRM),)
    step(tally, ActOutcome("a", CONFIRM, SUCCEEDED))
    assert decision(tally).steps == (("b", ACTIVATE),)


def test_a_failed_health_gate_reverts_and_stops() -> None:
    tally = tally_of(STAGED, STAGED)
    step(tally, ActOutcome("a", ACTIVATE, SUCCEEDED))

    step(tally, ActOutcome("a", HEALTH, REFUSED, "gate health", "exit code 1"))

    assert decision(tally).steps == (("a", REVERT),)
    assert step(tally, ActOutcome("a", REVERT, SUCCEEDED)) == REVERTED
    stop = decision(tally)
    assert stop.kind == STOP
    assert stop.reasons == ("wave 1: 1 of 1 failed, and the failure budget of the wave is 1",)
    assert tally.boards["a"].reason == "exit code 1"


def test_a_doubt_on_trial_reverts_and_pauses() -> None:
    tally = tally_of(STAGED, STAGED)
    step(tally, ActOutcome("a", ACTIVATE, SUCCEEDED))

    step(tally, ActOutcome("a", HEALTH, INCONCLUSIVE, "gate health", "no health command"))
    assert decision(tally) == Decision(
        PAUSE, (("a", REVERT),), ("a gate is inconclusive on a",), tally.next_time()
    )

    assert step(tally, ActOutcome("a", REVERT, SUCCEEDED)) == STAGED
    assert decision(tally).kind == PAUSE
    assert not decision(tally).steps


def test_an_activation_without_an_answer_is_observed() -> None:
    tally = tally_of(STAGED)
    step(tally, ActOutcome("a", ACTIVATE, NO_ANSWER, "no answer", "timed out"))

    waits = decision(tally)
    assert waits.kind == WAIT
    assert waits.until is not None
    assert 1 < waits.until < 10
    tally.advance(waits.until)
    assert decision(tally, waits.until).steps == (("a", OBSERVE),)
    assert step(tally, ActOutcome("a", OBSERVE, SUCCEEDED, state=TRIAL, trial_s=9), 9.0) == TRIAL
    assert tally.boards["a"].deadline == 18


def test_an_activation_that_never_arrived_is_repeated() -> None:
    tally = tally_of(STAGED)
    for attempt in (1, 2):
        step(tally, ActOutcome("a", ACTIVATE, NO_ANSWER, "no answer", "timed out"))
        assert step(tally, ActOutcome("a", OBSERVE, SUCCEEDED, state=STAGED)) == STAGED
        assert decision(tally).steps == (("a", ACTIVATE),)
        assert tally.boards["a"].attempts == attempt

    step(tally, ActOutcome("a", ACTIVATE, NO_ANSWER, "no answer", "timed out"))
    assert step(tally, ActOutcome("a", OBSERVE, SUCCEEDED, state=STAGED)) == FAILED


def test_an_observation_that_says_nothing_changes_nothing() -> None:
    tally = tally_of(STAGED)
    step(tally, ActOutcome("a", ACTIVATE, NO_ANSWER, "no answer", "timed out"))

    assert step(tally, ActOutcome("a", OBSERVE, REFUSED, "internal", "a bug")) == STAGED
    assert tally.boards["a"].is_exposed
    assert tally.exposed == 1


def test_a_board_that_reverted_while_the_controller_was_away_gets_another_chance() -> None:
    for is_orphan, state in ((True, PROBED), (False, REVERTED)):
        tally = tally_of(
            TRIAL,
            is_exposed=True,
            is_uncertain=True,
            is_orphan=is_orphan,
            attempts=1,
            deadline=50.0,
        )
        found = ActOutcome("a", OBSERVE, SUCCEEDED, "deadline", "no confirmation", state=REVERTED)
        assert step(tally, found) == state


def test_a_board_that_gets_another_chance_keeps_its_place_in_the_budget() -> None:
    orphan = FleetBoard(Member("a"), 1, TRIAL, is_exposed=True, is_uncertain=True, deadline=50.0)
    orphan.is_orphan, orphan.attempts = True, 1
    tally = FleetTally([orphan, FleetBoard(Member("b"), 1, STAGED)], [0.0], POLICY)
    assert decision(tally).steps == (("a", OBSERVE),)

    step(tally, ActOutcome("a", OBSERVE, SUCCEEDED, "deadline", "no confirmation", state=REVERTED))

    assert decision(tally).steps == (("a", ACTIVATE),)


def test_silence_after_the_activation_is_a_failure_at_the_deadline() -> None:
    tally = tally_of(STAGED, STAGED)
    step(tally, ActOutcome("a", ACTIVATE, SUCCEEDED, trial_s=30))
    tally.begin("a", HEALTH, 2.0)

    assert tally.advance(30.9) == []
    (change,) = [change for change in tally.advance(31.0) if change.target]

    assert (change.target, change.before, change.after) == ("a", TRIAL, FAILED)
    assert decision(tally, 31.0).kind == STOP
    assert tally.end(ActOutcome("a", HEALTH, SUCCEEDED), 32.0).after == FAILED


def test_a_board_that_never_answered_is_given_up_at_its_deadline() -> None:
    tally = tally_of(PENDING, STAGED)
    step(tally, ActOutcome("a", STAGE, NO_ANSWER, "no answer", "no route to host"))

    (change,) = [change for change in tally.advance(101.0) if change.target]

    assert (change.after, change.reason) == (UNREACHABLE, "no route to host")
    assert decision(tally, 101.0).kind == PAUSE


def test_a_board_that_does_not_fit_is_left_out() -> None:
    tally = tally_of(PENDING)

    assert step(tally, ActOutcome("a", STAGE, UNFIT, "", "no variant for riscv64")) == SKIPPED
    assert decision(tally).kind == DONE


def test_a_stop_reverts_what_is_on_trial_and_begins_nothing() -> None:
    tally = tally_of(TRIAL, STAGED, is_exposed=True, deadline=50.0)

    stop = decision(tally, stop=True, reason="Ada stopped it: wrong release")
    assert (stop.kind, stop.steps) == (STOP, (("a", REVERT),))
    assert stop.reasons == ("Ada stopped it: wrong release",)
    tally.stop()
    assert step(tally, ActOutcome("a", REVERT, SUCCEEDED)) == REVERTED
    assert decision(tally).kind == STOP
    assert not decision(tally).steps


def test_a_pause_lets_trials_end_and_begins_nothing() -> None:
    tally = tally_of(STAGED, PENDING)
    step(tally, ActOutcome("a", ACTIVATE, SUCCEEDED))

    assert decision(tally, pause=True).steps == (("a", HEALTH),)
    step(tally, ActOutcome("a", HEALTH, SUCCEEDED))
    step(tally, ActOutcome("a", CONFIRM, SUCCEEDED))
    assert decision(tally, pause=True).steps == ()
    assert decision(tally).steps == (("b", STAGE),)


def test_a_closed_window_waits_for_its_opening() -> None:
    # 1970-01-01 was a Thursday.
    friday = Window({}, frozenset({4}), 60, 120)
    policy = Policy(waves=POLICY.waves, gates={"health": 1}, windows=(friday,))
    board = FleetBoard(Member("a", windows=(0,)), 1)
    tally = FleetTally([board], [0.0], policy)

    assert decision(tally).steps == (("a", STAGE),)
    step(tally, ActOutcome("a", STAGE, SUCCEEDED))
    waits = decision(tally)

    assert (waits.kind, waits.until) == (WAIT, 86400 + 3600)
    assert waits.reasons == ("the next maintenance window opens at 1970-01-02T01:00:00Z",)
    assert decision(tally, 86400 + 3600).steps == (("a", ACTIVATE),)
    assert decision(tally, 86400 + 7200).kind == WAIT


def test_the_next_wave_waits_for_the_soak_and_its_checks() -> None:
    boards = [FleetBoard(Member(name), wave, STAGED) for wave, name in ((1, "a"), (2, "b"))]
    tally = FleetTally(boards, [600.0, 0.0], POLICY)
    for name in (ACTIVATE, HEALTH, CONFIRM):
        step(tally, ActOutcome("a", name, SUCCEEDED))

    soaks = decision(tally)
    assert (soaks.kind, soaks.until) == (WAIT, 601.0)
    assert soaks.reasons == ("wave 1 soaks until 1970-01-01T00:10:01Z",)
    tally.advance(601.0)
    assert decision(tally, 601.0).steps == (("a", "check"),)
    step(tally, ActOutcome("a", "check", SUCCEEDED), 602.0)
    assert decision(tally, 602.0).steps == (("b", ACTIVATE),)


def test_what_a_board_reports_is_a_state() -> None:
    trial = TrialState("old", "new", "order", 1, 30, True)
    reverted = AppState("old", "", "1", "cpu", 0, "before", 5, 4, 0, "revert", "health")
    on_trial = AppState("new", "old", "2", "cpu", 0, "before", 5, 4, 0, "activate", "", trial)
    other = AppState("new", "old", "2", "cpu", 0, "another", 4, 4, 0, "confirm", "")

    def state(app: AppState | None, staged: bool = True) -> str:
        return board_state(app, staged, "new", "order", 5)

    assert state(APP) == CONFIRMED
    assert state(on_trial) == TRIAL
    assert state(reverted) == REVERTED
    assert state(other) == STAGED
    assert state(None) == STAGED
    assert state(None, staged=False) == PENDING
