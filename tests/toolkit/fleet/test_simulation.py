"""Whole rollouts over simulated boards: what holds whatever the policy and the faults."""

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.toolkit.fleet.fleets import START, SimulatedRollout, members_of, names
from tests.toolkit.fleet.lying_boards import LyingBoards
from tests.toolkit.fleet.simulated_boards import (
    AWAY,
    BRICK,
    CRASH,
    FAULTS,
    FLAP,
    FULL,
    GOOD,
    HANG,
    LATE,
    LIE,
    MUTE,
    NOISY,
    SLOW,
    WRONG,
)
from toolkit.fleet.acts import Act
from toolkit.fleet.decide import DONE, PAUSE, STOP
from toolkit.fleet.engine import drive_rollout, load_tally
from toolkit.fleet.journal import open_journal
from toolkit.fleet.journal_file import JournalError
from toolkit.fleet.policy import DEFAULT_GATES, Allowance, Concurrency, Policy, WaveSize
from toolkit.fleet.resume import skip_boards
from toolkit.fleet.states import (
    CONFIRMED,
    FAILED,
    FAILURES,
    PENDING,
    REVERTED,
    SKIPPED,
    TRIAL,
)
from toolkit.fleet.waves import plan_waves

#: Failures without the commonest cause, so that budgets decide.
WAVES = (WaveSize(count=4, soak_s=30), WaveSize(fraction=0.4), WaveSize(fraction=1.0))


class Killed(BaseException):
    """The controller dies."""


def rollout(tmp_path: Path, faults: dict[str, str], policy: Policy) -> SimulatedRollout:
    return SimulatedRollout(tmp_path / "fleet.db", faults, policy)


def fleet(count: int, **faults: int) -> dict[str, str]:
    """Boards with faults on some of them, spread by chance."""
    fleet = dict.fromkeys(names(count), GOOD)
    places = iter(random.Random(5).sample(names(count), sum(faults.values())))
    for fault, number in faults.items():
        for _ in range(number):
            fleet[next(places)] = fault
    return fleet


def policy(**changes: object) -> Policy:
    values: dict[str, object] = {
        "waves": WAVES,
        "failure_budget": Allowance(5, 1.0),
        "unreachable": Allowance(5, 1.0),
        "unreachable_deadline_s": 200.0,
        "same_fingerprint": 100,
        **changes,
    }
    return Policy(**values)  # type: ignore[arg-type]


def test_a_good_release_reaches_every_board_in_waves(tmp_path: Path) -> None:
    fleet_rollout = rollout(tmp_path, fleet(60), policy())

    assert fleet_rollout.run().kind == DONE
    assert fleet_rollout.states() == {CONFIRMED: 60}
    confirmed = [
        event.wave for event in fleet_rollout.events if event.step == "confirm" and event.state
    ]
    assert confirmed == sorted(confirmed)
    activated = [event.at for event in fleet_rollout.events if event.step == "activate"]
    staged = [event.at for event in fleet_rollout.events if event.step == "stage"]
    assert max(staged) <= min(activated)
    waits = [event.reason for event in fleet_rollout.events if event.state == "waiting"]
    assert any(reason.startswith("wave 1 soaks until") for reason in waits)
    assert len(waits) == len(set(waits))


@pytest.mark.parametrize("fault", [SLOW, WRONG])
def test_a_release_that_a_gate_refuses_is_activated_nowhere(tmp_path: Path, fault: str) -> None:
    all_of_them = dict.fromkeys(names(40), fault)
    fleet_rollout = rollout(tmp_path, all_of_them, policy(same_fingerprint=3))

    decision = fleet_rollout.run()

    assert decision.kind == STOP
    assert "failed for one cause: gate" in decision.reasons[0]
    assert not any(board.activations for board in fleet_rollout.boards.boards.values())


@pytest.mark.parametrize("fault", [BRICK, MUTE, CRASH, HANG, LIE])
def test_a_release_that_harms_every_board_harms_no_more_than_the_budget(
    tmp_path: Path, fault: str
) -> None:
    all_of_them = dict.fromkeys(names(60), fault)
    fleet_rollout = rollout(tmp_path, all_of_them, policy(failure_budget=Allowance(2, 1.0)))

    decision = fleet_rollout.run()

    assert decision.kind == STOP
    assert fleet_rollout.harmed_by_wave() == {1: 2, 2: 0, 3: 0}
    assert sum(fleet_rollout.states()[state] for state in FAILURES) == 2


def test_a_board_that_dies_silently_after_the_activation_stops_the_rollout(tmp_path: Path) -> None:
    one_of_them = {**fleet(10), names(1)[0]: BRICK}
    fleet_rollout = rollout(tmp_path, one_of_them, policy(failure_budget=Allowance(1, 1.0)))

    decision = fleet_rollout.run()

    assert decision.kind == STOP
    (line,) = [line for line in fleet_rollout.lines() if line.state == FAILED]
    assert line.target == names(1)[0]
    assert line.fingerprint == "silent after the activation"


def test_three_boards_with_one_cause_stop_at_once(tmp_path: Path) -> None:
    crashing = fleet(200, crash=20)
    generous = policy(failure_budget=Allowance(100, 1.0), same_fingerprint=3)
    fleet_rollout = rollout(tmp_path, crashing, generous)

    decision = fleet_rollout.run()

    assert decision.kind == STOP
    assert "failed for one cause: gate health" in "".join(decision.reasons)
    assert fleet_rollout.states()[TRIAL] == 0


def test_an_inconclusive_gate_pauses(tmp_path: Path) -> None:
    fleet_rollout = rollout(tmp_path, {**fleet(20), names(1)[0]: NOISY}, policy())

    decision = fleet_rollout.run()

    assert decision.kind == PAUSE
    assert decision.reasons == (f"a gate is inconclusive on {names(1)[0]}",)
    again = fleet_rollout.run()
    assert again == decision
    with open_journal(fleet_rollout.path) as journal:
        journal.take_lease("Grace")
        skip_boards(journal, fleet_rollout.number, names(1), "it is too noisy", 1.0)
        with pytest.raises(JournalError, match="is skipped already"):
            skip_boards(journal, fleet_rollout.number, names(1), "", 1.0)
        with pytest.raises(JournalError, match="x is not in rollout 1"):
            skip_boards(journal, fleet_rollout.number, ["x"], "", 1.0)
    assert fleet_rollout.run().kind == DONE
    assert fleet_rollout.states() == {CONFIRMED: 19, SKIPPED: 1}


def test_unreachable_boards_have_a_budget_and_a_deadline_of_their_own(tmp_path: Path) -> None:
    away = fleet(40, away=6)
    fleet_rollout = rollout(tmp_path, away, policy(unreachable=Allowance(3, 1.0)))

    decision = fleet_rollout.run()

    assert decision.kind == PAUSE
    assert "did not answer within 200 s" in decision.reasons[0]
    assert fleet_rollout.boards.now - 1_000_000 > 200


def test_a_few_unreachable_boards_do_not_keep_the_others_waiting_for_ever(tmp_path: Path) -> None:
    fleet_rollout = rollout(tmp_path, fleet(40, away=2), policy())

    assert fleet_rollout.run().kind == DONE
    assert fleet_rollout.states() == {CONFIRMED: 38, "unreachable": 2}

    for board in fleet_rollout.boards.boards.values():
        board.fault = GOOD
    assert fleet_rollout.run().kind == DONE
    assert fleet_rollout.states() == {CONFIRMED: 40}


def test_nobody_waits_for_boards_that_are_tried_again(tmp_path: Path) -> None:
    patient = policy(unreachable_deadline_s=1200.0)
    fleet_rollout = rollout(tmp_path, fleet(40, away=6), patient)

    fleet_rollout.run()

    activations = [event.at for event in fleet_rollout.events if event.step == "activate"]
    assert min(activations) - 1_000_000 < 100


def test_a_board_is_tried_again_before_the_queue_ends(tmp_path: Path) -> None:
    narrow = policy(concurrency=Concurrency(total=2), waves=(WaveSize(fraction=1.0),))
    boards = {**fleet(300), names(1)[0]: AWAY}
    fleet_rollout = rollout(tmp_path, boards, narrow)

    fleet_rollout.run()

    tries = [event.at for event in fleet_rollout.events if event.target == names(1)[0]]
    last = max(event.at for event in fleet_rollout.events if event.step == "stage")
    assert sum(at < last for at in tries) >= 6


def test_a_board_that_fails_after_the_soak_counts(tmp_path: Path) -> None:
    first_wave = rollout(tmp_path / "plan", fleet(40), policy()).waves[0].members
    late = {**fleet(40), first_wave[0].name: LATE}
    strict = policy(failure_budget=Allowance(1, 1.0))
    fleet_rollout = rollout(tmp_path, late, strict)

    decision = fleet_rollout.run()

    assert decision.kind == STOP
    assert fleet_rollout.states() == {CONFIRMED: 3, FAILED: 1, "staged": 36}


def test_full_boards_fail_before_anything_is_activated(tmp_path: Path) -> None:
    fleet_rollout = rollout(tmp_path, fleet(40, full=30), policy())

    assert fleet_rollout.run().kind == STOP
    assert not fleet_rollout.harmed_by_wave()[1]


def test_the_limits_of_concurrency_hold(tmp_path: Path) -> None:
    narrow = policy(concurrency=Concurrency(total=12, per_jump_host=3, per_site=4))
    fleet_rollout = rollout(tmp_path, fleet(90), narrow)
    members = {member.name: member for wave in fleet_rollout.waves for member in wave.members}
    running: dict[str, str] = {}
    start = fleet_rollout.boards.start

    def watch_start(act: Act) -> None:
        running[act.target] = act.step
        sites = [members[name].site for name in running]
        jumps = [members[name].jump for name in running]
        assert len(running) <= 12
        assert max(map(sites.count, sites)) <= 4
        assert max((jumps.count(jump) for jump in jumps if jump), default=0) <= 3
        start(act)

    fleet_rollout.boards.start = watch_start  # type: ignore[method-assign]
    collect = fleet_rollout.boards.collect

    def watch_collect(timeout_s: float) -> list[object]:
        outcomes = list(collect(timeout_s))
        for outcome in outcomes:
            del running[outcome.target]
        return outcomes  # type: ignore[return-value]

    fleet_rollout.boards.collect = watch_collect  # type: ignore[method-assign, assignment]

    assert fleet_rollout.run().kind == DONE
    assert fleet_rollout.boards.most_running == 12


@pytest.mark.parametrize("kill", range(3, 24))
def test_a_killed_controller_knows_which_boards_are_at_risk(tmp_path: Path, kill: int) -> None:
    faults = dict(zip(names(5), (MUTE, CRASH, BRICK, HANG, GOOD), strict=True))
    fleet_rollout = rollout(tmp_path, faults, policy(waves=(WaveSize(fraction=1.0),)))
    run_until_killed(fleet_rollout, kill)
    fleet_rollout.boards.now += 500  # boards on trial go back meanwhile
    run_until_killed(fleet_rollout, 3)

    with open_journal(fleet_rollout.path) as journal:
        tally = load_tally(journal, 1, fleet_rollout.policy, fleet_rollout.boards.now)

    for name, board in fleet_rollout.boards.boards.items():
        if board.activations and not board.was_confirmed:
            assert tally.boards[name].is_at_risk or tally.boards[name].state in FAILURES, name


mixes = st.lists(st.sampled_from((GOOD, GOOD, GOOD, *FAULTS)), min_size=1, max_size=60)
policies = st.builds(
    Policy,
    waves=st.sampled_from(
        (WAVES, (WaveSize(fraction=1.0),), (WaveSize(fraction=0.2, soak_s=5), WaveSize(fraction=1)))
    ),
    failure_budget=st.builds(Allowance, count=st.integers(1, 6), rate=st.floats(0, 1)),
    unreachable=st.builds(Allowance, count=st.integers(1, 6), rate=st.floats(0, 1)),
    unreachable_deadline_s=st.sampled_from((60.0, 600.0)),
    same_fingerprint=st.integers(1, 8),
    concurrency=st.builds(
        Concurrency,
        total=st.integers(1, 20),
        per_jump_host=st.integers(1, 8),
        per_site=st.integers(1, 8),
    ),
    trial_deadline_s=st.sampled_from((20.0, 120.0)),
    gates=st.sampled_from((DEFAULT_GATES, {"health": 1.0})),
)


@settings(max_examples=40, deadline=None)
@given(faults=mixes, policy=policies, kills=st.lists(st.integers(1, 60), max_size=4))
def test_no_more_boards_are_harmed_than_the_budget_allows(
    faults: list[str], policy: Policy, kills: list[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        boards = dict(zip(names(len(faults)), faults, strict=True))
        fleet_rollout = rollout(Path(folder), boards, policy)
        for kill in kills:
            run_until_killed(fleet_rollout, kill)
        decision = fleet_rollout.run()

        budgets, harmed = fleet_rollout.budgets(), fleet_rollout.harmed_by_wave()
        assert all(harmed[wave] <= budgets[wave] for wave in budgets), (harmed, budgets)
        states = fleet_rollout.states()
        assert not states[TRIAL]
        with open_journal(fleet_rollout.path) as journal:
            assert journal.verify_chain() == ()
            assert (
                journal.rollout(fleet_rollout.number).status
                == {
                    DONE: "done",
                    PAUSE: "paused",
                    STOP: "stopped",
                }[decision.kind]
            )
        if decision.kind == DONE:
            assert not states[PENDING] + states["staged"] + states["probed"]
        if set(faults) <= {GOOD, FLAP}:
            assert not states[REVERTED] + states[FAILED] or policy.trial_deadline_s < 60
        if all(fault == GOOD for fault in faults):
            assert decision.kind == DONE
        for line in fleet_rollout.lines():
            board = fleet_rollout.boards.boards[line.target]
            if line.state == CONFIRMED:
                assert board.was_confirmed
                assert board.fault not in (SLOW, WRONG, FULL, AWAY) or policy.gates != DEFAULT_GATES


def run_until_killed(fleet_rollout: SimulatedRollout, kill: int) -> None:
    """Run a controller that dies after some outcomes; what it sent arrives at the boards."""
    collect, left = fleet_rollout.boards.collect, kill

    def die(timeout_s: float) -> object:
        nonlocal left
        outcomes = collect(timeout_s)
        left -= bool(outcomes)
        if left <= 0:
            raise Killed
        return outcomes

    fleet_rollout.boards.collect = die  # type: ignore[method-assign, assignment]
    try:
        fleet_rollout.run()
    except Killed:
        fleet_rollout.boards.forget()
    finally:
        fleet_rollout.boards.collect = collect  # type: ignore[method-assign]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 1 << 30), policy=policies)
def test_boards_that_lie_end_the_rollout_and_not_the_controller(seed: int, policy: Policy) -> None:
    with tempfile.TemporaryDirectory() as folder, open_journal(Path(folder) / "a.db") as journal:
        journal.take_lease("Ada")
        waves = plan_waves(members_of(names(12)), policy, "salt")
        number = journal.begin_rollout(START, waves)
        boards = LyingBoards(seed)
        decision = drive_rollout(
            journal, number, policy, boards, lambda: boards.now, lambda _: None
        )

        assert decision.kind in (DONE, PAUSE, STOP)
        assert journal.verify_chain() == ()
