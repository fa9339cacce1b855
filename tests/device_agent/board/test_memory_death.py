"""A death by want of memory carries its figures."""

from device_agent.board.memory_death import MEMORY_GUESS, with_memory_figures
from device_agent.contract.codes import CHILD_DIED, RefusalError
from device_agent.contract.conditions import Conditions

DEATH = RefusalError(CHILD_DIED, "it was killed\nlast words", "Free memory.")
MIB = 1 << 20


def test_the_figures_stand_in_the_first_line() -> None:
    seen = [Conditions(memory_available_bytes=count * MIB) for count in (900, 12, 880)]
    told = with_memory_figures(DEATH, seen)

    assert str(told).splitlines() == [
        "it was killed (available memory: 900 MiB before, 12 MiB at the least seen)",
        "last words",
    ]
    assert (told.code, told.hint) == (CHILD_DIED, "Free memory.")


def test_a_kill_by_the_kernel_is_said_when_it_counted_one() -> None:
    before, after = Conditions(oom_kills=4), Conditions(oom_kills=5)

    assert "the kernel killed a process for want of memory" in str(
        with_memory_figures(DEATH, [before, after])
    )
    assert str(with_memory_figures(DEATH, [before, before])) == str(DEATH)


def test_a_kill_that_the_kernel_did_not_count_is_not_for_want_of_memory() -> None:
    death = RefusalError(CHILD_DIED, f"it was killed{MEMORY_GUESS}\nlast words", "Free memory.")
    before, after = (Conditions(oom_kills=n, memory_available_bytes=9000 * MIB) for n in (4, 5))
    other, kernel = (with_memory_figures(death, [before, last]) for last in (before, after))

    assert "not by the kernel for want of memory: another program" in str(other)
    assert "ran out of memory" not in str(other)
    assert "watchdog" in other.hint
    assert ("ran out of memory" in str(kernel), kernel.hint) == (True, "Free memory.")


def test_a_board_that_tells_nothing_adds_nothing() -> None:
    assert with_memory_figures(DEATH, [Conditions(), Conditions()]) is DEATH


def test_the_limit_of_a_control_group_stands_before_the_memory_of_the_board() -> None:
    message = str(
        with_memory_figures(DEATH, [Conditions(memory_available_bytes=9000 * MIB)], 400 * MIB)
    )

    assert "(the control group may use 400 MiB; available memory: 9000 MiB before" in message
