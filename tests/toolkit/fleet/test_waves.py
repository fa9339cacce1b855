"""Which board is in which wave."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.toolkit.fleet.fleets import members_of, names
from toolkit.fleet.policy import Allowance, Policy, WaveSize
from toolkit.fleet.waves import Member, count_strata, plan_waves, wave_of

POLICY = Policy(waves=(WaveSize(count=15), WaveSize(fraction=0.2), WaveSize(fraction=1)))


def stratum(member: Member) -> tuple[str, str, str]:
    return (member.board, member.runtime, member.site)


def test_the_first_wave_meets_every_stratum() -> None:
    members = members_of(names(300))
    assert count_strata(members) == 15

    first, second, third = plan_waves(members, POLICY, "salt")

    assert len({stratum(member) for member in first.members}) == 15
    assert [len(wave.members) for wave in (first, second, third)] == [15, 45, 240]
    assert [wave.number for wave in (first, second, third)] == [1, 2, 3]


def test_a_first_wave_that_is_smaller_than_the_strata_meets_every_kind_of_board() -> None:
    small = Policy(waves=(WaveSize(count=3), WaveSize(fraction=1)))

    first, _ = plan_waves(members_of(names(300)), small, "salt")

    assert {member.board for member in first.members} == {"rpi4", "rpi5", "coral"}


def test_every_wave_takes_the_same_share_of_every_stratum() -> None:
    members = [Member(f"a{n}", board="rpi4") for n in range(900)]
    members += [Member(f"b{n}", board="coral") for n in range(100)]
    halves = Policy(waves=(WaveSize(fraction=0.5), WaveSize(fraction=1)))

    first, _ = plan_waves(members, halves, "salt")

    shares = Counter(member.board for member in first.members)
    assert shares["rpi4"] == 450
    assert shares["coral"] == 50


def test_the_order_depends_on_the_salt_and_not_on_the_order_of_the_names() -> None:
    members = members_of(names(100))

    assert plan_waves(members, POLICY, "a") == plan_waves(members[::-1], POLICY, "a")
    assert plan_waves(members, POLICY, "a")[0] != plan_waves(members, POLICY, "b")[0]


@given(
    count=st.integers(0, 200),
    sizes=st.lists(st.floats(0, 1), max_size=5),
    salt=st.text(max_size=5),
)
def test_every_board_is_in_one_wave(count: int, sizes: list[float], salt: str) -> None:
    members = members_of(names(count))
    waves = (*(WaveSize(fraction=size) for size in sorted(sizes)), WaveSize(fraction=1.0))

    planned = plan_waves(members, Policy(waves=waves), salt)

    found = [member.name for wave in planned for member in wave.members]
    assert sorted(found) == names(count)
    assert all(wave.members for wave in planned)
    assert all(1 <= wave.budget <= len(wave.members) for wave in planned)


@pytest.mark.parametrize(
    ("allowance", "size", "boards"),
    [
        (Allowance(20, 0.05), 19, 1),
        (Allowance(20, 0.05), 40, 2),
        (Allowance(20, 0.05), 100_000, 20),
        (Allowance(3, 1.0), 2, 2),
        (Allowance(3, 0.0), 1000, 1),
    ],
)
def test_the_smaller_bound_counts(allowance: Allowance, size: int, boards: int) -> None:
    assert allowance.boards(size) == boards


def test_a_late_board_gets_its_wave_by_its_name() -> None:
    sizes = [10, 90, 900]
    waves = Counter(wave_of(f"late{number}", "salt", sizes) for number in range(2000))

    assert wave_of("late1", "salt", sizes) == wave_of("late1", "salt", sizes)
    assert waves[3] > waves[2] > waves[1] > 0


def test_doubtful_boards_come_last_since_they_prove_nothing() -> None:
    sound = [Member(f"sound{number}") for number in range(4)]
    doubtful = [Member(f"doubtful{number}") for number in range(4)]
    policy = Policy(waves=(WaveSize(count=1), WaveSize(fraction=1.0)))
    waves = plan_waves(sound, policy, "salt", doubtful)

    assert [len(wave.members) for wave in waves] == [1, 7]
    assert {member.name for member in waves[-1].members[-4:]} == {each.name for each in doubtful}


def test_nobody_waits_after_the_last_wave_of_a_small_fleet() -> None:
    (only,) = plan_waves([Member("pi")], Policy(), "salt")
    long = Policy(waves=(WaveSize(fraction=0.5, soak_s=600), WaveSize(fraction=1, soak_s=60)))
    first, last = plan_waves([Member("pi"), Member("coral")], long, "salt")

    assert only.soak_s == 0
    assert (first.soak_s, last.soak_s) == (600, 60)
