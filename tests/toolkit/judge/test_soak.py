"""What a soak says about memory and speed, from readings whose truth is known."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from device_agent.contract.facts import Facts
from targets.board_run import BoardRun
from tests.toolkit.measurements import board_run
from toolkit.judge.soak import LEAKS, SLOWS, STABLE, TOO_SHORT, Soak, soak_of
from toolkit.judge.statistics import latency
from toolkit.judge.verdict import UNSTABLE, judge_runs

RANDOM = np.random.default_rng(11)
MIB = 1 << 20
Values = npt.NDArray[np.float64]
FACTS = Facts(machine="aarch64")


def soaked(memory_bytes: Values, latency_us: Values, seconds: float = 600.0) -> Soak:
    found = soak_of(run_of(memory_bytes, latency_us, seconds))
    assert found is not None
    return found


def run_of(memory_bytes: Values, latency_us: Values, seconds: float = 600.0) -> BoardRun:
    run = board_run([int(1000 * value) for value in latency_us])
    read_at = np.linspace(0, seconds * 1e9, len(memory_bytes))
    starts = np.linspace(0, seconds * 1e9, len(latency_us), endpoint=False)
    memory = np.stack([read_at, memory_bytes], 1).reshape(-1)
    series = {
        "memory": tuple(int(value) for value in memory),
        "starts": tuple(int(value) for value in starts),
    }
    wall = replace(run.run, wall_ns=int(seconds * 1e9), runs=3 * len(latency_us))
    return replace(run, run=wall, series=series)


def quiet(count: int = 6000) -> Values:
    return 1000 * (1 + 0.02 * RANDOM.standard_normal(count))


def level(count: int = 600) -> Values:
    return 50.0 * MIB + 4096.0 * RANDOM.integers(0, 30, count)


def test_noise_is_stable() -> None:
    assert soaked(level(), quiet()).verdict == (STABLE,)
    assert soaked(np.full(600, 50.0 * MIB), np.full(6000, 1000.0)).verdict == (STABLE,)


def test_a_leak_is_told_with_its_rate_and_interval() -> None:
    found = soaked(level() + np.linspace(0, 6 * MIB, 600), quiet())
    assert found.verdict == (LEAKS,)
    assert found.memory is not None
    low, high = found.memory.interval
    assert low < 36 * MIB < high  # 6 MiB in ten minutes
    assert high - low < MIB


def test_memory_that_grows_at_first_and_then_rests_is_no_leak() -> None:
    filled = np.minimum(np.linspace(0, 40 * MIB, 600), 15 * MIB)
    assert soaked(level() + filled, quiet()).verdict == (STABLE,)


def test_growth_that_the_kernel_cannot_tell_is_no_leak() -> None:
    assert soaked(50 * MIB + np.linspace(0, MIB / 2, 600), quiet()).verdict == (STABLE,)


def test_memory_that_is_given_back_is_no_leak() -> None:
    assert soaked(level() - np.linspace(0, 9 * MIB, 600), quiet()).verdict == (STABLE,)


def test_a_latency_that_grows_is_told_by_the_hour() -> None:
    found = soaked(level(), quiet() * np.linspace(1, 1.2, 6000))
    assert found.verdict == (SLOWS,)
    assert found.slowing == pytest.approx(1.2, rel=0.1)  # 20 % in ten minutes


def test_a_warm_up_that_ends_is_no_slowing() -> None:
    heated = np.minimum(np.linspace(1, 1.6, 6000), 1.2)
    assert soaked(level(), quiet() * heated).verdict == (STABLE,)


def test_a_soak_of_a_moment_says_so() -> None:
    assert soaked(level(3), quiet(3), 0.1).verdict == (TOO_SHORT,)


def test_a_soak_under_a_minute_gets_no_verdict() -> None:
    growing = np.linspace(50 * MIB, 90 * MIB, 600)
    steady = np.full(600, 100.0)
    assert soaked(growing, steady, seconds=59.0).verdict == (TOO_SHORT,)
    assert LEAKS in soaked(growing, steady, seconds=61.0).verdict


def test_a_leak_makes_the_measurement_unstable_with_its_rate() -> None:
    run = run_of(level() + np.linspace(0, 6 * MIB, 600), quiet())
    verdict = judge_runs(FACTS, [run], latency([run.samples_ns]))
    assert verdict.kind == UNSTABLE
    assert verdict.reasons[0].startswith("leaks memory: 36,")
    assert "KiB an hour (95 % interval" in verdict.reasons[0]


def test_what_a_minute_showed_is_not_made_an_hour() -> None:
    run = run_of(level(60) + np.linspace(0, 12 * MIB, 60), quiet(), seconds=60)
    verdict = judge_runs(FACTS, [run], latency([run.samples_ns]))
    assert "KiB in all" in verdict.reasons[0]
    assert "hour" not in verdict.reasons[0]


def test_a_run_that_was_no_soak_has_none() -> None:
    assert soak_of(board_run([1000] * 20)) is None
