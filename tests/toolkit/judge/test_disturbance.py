"""What a board went through while it measured, and what it makes of a figure."""

from dataclasses import replace
from typing import Any

import pytest

from device_agent.contract.conditions import Conditions
from device_agent.contract.facts import Facts
from device_agent.contract.placement import Placement
from targets.board_run import BoardRun
from tests.toolkit.measurements import board_run
from toolkit.judge.statistics import latency
from toolkit.judge.verdict import INVALID, UNSTABLE, VALID, Verdict, judge_runs

STEADY = [100_000] * 90
FACTS = Facts(machine="aarch64")
SECOND = 1_000_000_000


def seen(moment: str, **fields: Any) -> Conditions:
    return Conditions(moment=moment, **fields)


def verdict(*conditions: Conditions, processes: int = 6) -> Verdict:
    return verdict_of([board_run(STEADY, conditions)] * processes)


def verdict_of(runs: list[BoardRun]) -> Verdict:
    return judge_runs(FACTS, runs, latency([run.samples_ns for run in runs]))


def at(moment: str, *mhz: int) -> Conditions:
    return seen(moment, frequency_khz={f"cpu{n}": 1000 * value for n, value in enumerate(mhz)})


def test_a_frequency_that_moved_between_the_ends_of_a_loop_is_unstable() -> None:
    found = verdict(at("before", 600), at("begin", 1500), at("end", 1200), at("after", 600))
    assert found.kind == UNSTABLE
    assert "1200 to 1500 MHz" in found.reasons[0]


def test_an_idle_board_that_speeds_up_for_the_work_is_valid() -> None:
    assert verdict(at("before", 600), at("begin", 1500), at("end", 1500), at("after", 600)) == (
        Verdict(VALID)
    )


def test_a_resting_core_beside_a_busy_one_is_no_movement() -> None:
    moments = at("begin", 1500, 600), at("during", 1500, 1500), at("end", 600, 1500)
    assert verdict(*moments).kind == VALID


def test_a_frequency_that_differs_between_processes_is_unstable() -> None:
    fast = board_run(STEADY, (at("begin", 1500), at("end", 1500)))
    slow = board_run(STEADY, (at("begin", 1000), at("end", 1000)))
    assert "1000 to 1500 MHz" in verdict_of([fast] * 5 + [slow]).reasons[0]


def counted(moment: str, **ticks: int) -> Conditions:
    times = {name[1:]: count for name, count in ticks.items()}
    return seen(moment, time_in_state={"policy0": times}, frequency_khz={"cpu0": 1_500_000})


@pytest.mark.parametrize(("low_ticks", "kind"), [(2, VALID), (30, UNSTABLE)])
def test_the_kernels_count_finds_what_two_readings_miss(low_ticks: int, kind: str) -> None:
    begin = counted("begin", _600000=9000, _1500000=500)
    end = counted("end", _600000=9000 + low_ticks, _1500000=600)
    found = verdict(begin, end)
    assert found.kind == kind
    if kind == UNSTABLE:
        assert "600 to 1500 MHz" in found.reasons[0]
        assert "23% of the time" in found.reasons[0]


def test_a_cluster_that_rests_does_not_count() -> None:
    def both(moment: str, big: int, little: dict[str, int]) -> Conditions:
        return seen(moment, time_in_state={"policy0": little, "policy4": {"2400000": big}})

    begin = both("begin", 100, {"408000": 50, "1800000": 10})
    end = both("end", 200, {"408000": 90, "1800000": 70})
    assert verdict(begin, end).kind == VALID


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ((0x50000, 0x50000), VALID),  # long ago
        ((0x0, 0x0), VALID),
        ((0x50000, 0x50005, 0x50000), INVALID),  # now
        ((0x0, 0x40000), INVALID),  # between two looks
    ],
)
def test_throttling_counts_when_it_happened_meanwhile(flags: tuple[int, ...], kind: str) -> None:
    assert verdict(*[Conditions(throttled=bits) for bits in flags]).kind == kind


@pytest.mark.parametrize(("celsius", "kind"), [(84.9, VALID), (85.0, INVALID)])
@pytest.mark.parametrize("zone", ["cpu-thermal", "apex_0"])
def test_a_zone_at_its_trip_point_is_invalid(zone: str, celsius: float, kind: str) -> None:
    warm = seen("end", temperature_celsius={zone: celsius}, trip_celsius={zone: 85.0})
    found = verdict(seen("begin"), warm)
    assert found.kind == kind
    assert all(zone in reason for reason in found.reasons)


def test_a_zone_without_a_trip_point_is_not_judged() -> None:
    assert verdict(seen("end", temperature_celsius={"cpu-thermal": 99.0})).kind == VALID


def test_a_dead_edge_tpu_is_named() -> None:
    found = verdict(seen("end", temperature_celsius={"apex_0": -89.7}))
    assert found.kind == INVALID
    assert "dead" in found.reasons[0]


def test_a_zone_that_is_switched_off_is_not_taken_for_a_dead_chip() -> None:
    assert verdict(seen("end", temperature_celsius={"gpu-thermal": -256.0})).kind == VALID


def test_a_kernel_that_cools_by_slowing_down_is_invalid() -> None:
    assert verdict(seen("end", cooling={"cpufreq-cpu0-0": 0})).kind == VALID
    assert verdict(seen("end", cooling={"cpufreq-cpu0-0": 2})).kind == INVALID


def clocked(moment: str, monotonic_s: float, clock_s: float) -> Conditions:
    return seen(moment, monotonic_ns=int(monotonic_s * SECOND), clock_ns=int(clock_s * SECOND) + 1)


@pytest.mark.parametrize(
    ("before", "after", "kind"),
    [
        ((10, 1e9), (12, 1e9 + 2.3), VALID),
        ((10, 1e9), (12, 1e9 + 3602), UNSTABLE),
        ((10, 1e9), (12, 1e9 - 5), UNSTABLE),
        ((10, 1e9), (36010, 1e9 + 36000 + 17), VALID),  # ten hours of slewing
    ],
)
def test_a_clock_that_jumps_is_told(
    before: tuple[float, float], after: tuple[float, float], kind: str
) -> None:
    found = verdict(clocked("before", *before), clocked("after", *after))
    assert found.kind == kind
    assert all("jumped" in reason for reason in found.reasons)


def test_a_board_that_started_anew_between_processes_is_invalid() -> None:
    runs = [board_run(STEADY, (seen("before", boot_id=name),)) for name in "aaabbb"]
    assert "restarted" in verdict_of(runs).reasons[0]


def test_swap_in_use_is_worth_a_note_only() -> None:
    found = verdict(seen("before", swap_used_bytes=3 << 20), seen("after", swap_used_bytes=3 << 20))
    assert found.kind == VALID
    assert "3 MiB of swap" in found.warnings[0]


@pytest.mark.parametrize(("mbps", "told"), [(480, True), (5000, False), (None, False)])
def test_an_edge_tpu_stick_at_usb_2_is_worth_a_note(mbps: int | None, told: bool) -> None:
    found = verdict(seen("end", edgetpu_usb_mbps=mbps))
    assert found.kind == VALID
    assert any("480" in warning for warning in found.warnings) is told


def test_a_delegate_that_computes_nothing_is_invalid() -> None:
    run = board_run(STEADY)
    fallen = replace(run.run, placement=Placement({"builtin": {"ADD": 1}}, "edgetpu"))
    working = replace(run.run, placement=Placement({"edgetpu": {"custom": 1}}, "edgetpu"))
    assert "CPU fallback" in verdict_of([replace(run, run=fallen)] * 6).reasons[0]
    assert verdict_of([replace(run, run=working)] * 6).kind == VALID


def test_few_processes_are_valid_with_their_weaker_interval_said() -> None:
    found = verdict(processes=2)
    assert found.kind == VALID
    assert "50%" in found.warnings[0]
    assert verdict(processes=6).warnings == ()


def test_too_few_samples_are_unstable() -> None:
    found = verdict_of([board_run([100_000] * 9)] * 6)
    assert found.kind == UNSTABLE
    assert "too few samples: 9" in found.reasons[0]


def test_a_quota_that_stops_the_loop_makes_a_figure_invalid() -> None:
    def moments(*periods: int | None) -> tuple[Conditions, ...]:
        names = ("before", "begin", "end", "after")
        return tuple(
            seen(name, quota_periods=count) for name, count in zip(names, periods, strict=True)
        )

    stopped = verdict(*moments(3, 10, 123, 124))
    assert stopped.kind == INVALID
    assert "throttled: a CPU quota (cgroup) stopped the process in 678 periods" in str(stopped)
    for harmless in (moments(3, 10, 10, 12), moments(None, None, None, None)):
        assert verdict(*harmless).kind == VALID
    alone = (seen("before", quota_periods=1), seen("after", quota_periods=2))
    assert "in 6 periods" in str(verdict(*alone))
