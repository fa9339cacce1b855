"""The timing loop, against a clock that only the calls move."""

import gc
import time

import pytest

from device_agent.contract.measurement import LEAST_RUNS
from device_agent.timing import benchmark
from device_agent.timing.benchmark import time_calls, warm_up


class Clock:
    """Nanoseconds that pass only when somebody works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0
        monkeypatch.setattr(benchmark.time, "perf_counter_ns", lambda: self.now)
        monkeypatch.setattr(benchmark.time, "process_time_ns", lambda: 2 * self.now)

    def work(self, ns: int) -> None:
        self.now += ns


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_every_run_is_a_sample_in_order(clock: Clock) -> None:
    lengths = iter([1_000_000] * 3 + [2_000_000, 3_000_000] * 50)
    timing = time_calls(lambda: clock.work(next(lengths)), 0.003, 0.03)

    assert (timing.warmup_runs, timing.warmup_ns) == (3, 3_000_000)
    assert list(timing.samples_ns) == [2_000_000, 3_000_000] * 6
    assert timing.wall_ns == sum(timing.samples_ns) == 30_000_000
    assert timing.cpu_ns == 2 * timing.wall_ns


def test_a_slow_call_still_runs_often_enough(clock: Clock) -> None:
    timing = time_calls(lambda: clock.work(10**10), 0.0, 1.0)

    assert timing.warmup_runs == 1
    assert len(timing.samples_ns) == LEAST_RUNS


def test_the_places_for_samples_are_the_limit(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "MAX_RUNS", 16)

    assert len(time_calls(lambda: clock.work(1), 0.0, 1.0).samples_ns) == 16


def test_a_slow_warm_up_does_not_shorten_the_timing(clock: Clock) -> None:
    lengths = iter([50_000_000])  # the only run of the warm-up was interrupted
    timing = time_calls(lambda: clock.work(next(lengths, 10_000)), 0.01, 0.1)

    assert timing.warmup_runs == 1
    assert timing.wall_ns >= 100_000_000


def test_the_collector_rests_meanwhile_and_is_as_before_afterwards(clock: Clock) -> None:
    seen: list[bool] = []

    def call() -> None:
        seen.append(gc.isenabled())
        clock.work(10**9)

    time_calls(call, 0.0, 1.0)
    assert seen == [True] + [False] * LEAST_RUNS
    assert gc.isenabled()

    gc.disable()
    try:
        time_calls(call, 0.0, 1.0)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_failing_call_leaves_the_collector_on(clock: Clock) -> None:
    calls = iter([None])

    def call() -> None:
        clock.work(1)
        if next(calls, "over"):
            raise RuntimeError("invoke failed")

    with pytest.raises(RuntimeError, match="invoke failed"):
        time_calls(call, 0.0, 1.0)
    assert gc.isenabled()


def test_the_real_clock_is_near_the_truth() -> None:
    timing = time_calls(lambda: time.sleep(0.002), 0.0, 0.05)

    assert min(timing.samples_ns) >= 2_000_000
    assert timing.wall_ns >= 50_000_000
    assert timing.cpu_ns < timing.wall_ns


def test_warm_up_ends_once_the_calls_are_equally_fast(clock: Clock) -> None:
    runs, lasted_ns = warm_up(lambda: clock.work(1_000_000), 10.0)

    assert runs == 90
    assert lasted_ns == 90_000_000


def test_warm_up_does_not_go_on_for_the_interruptions_of_others(clock: Clock) -> None:
    calls = iter(range(10**6))
    _, lasted_ns = warm_up(lambda: clock.work(1_000_000 + 5_000_000 * (next(calls) % 7 == 3)), 10.0)

    assert lasted_ns < 200_000_000


def test_warm_up_goes_on_while_the_calls_still_get_faster(clock: Clock) -> None:
    lengths = iter([20_000_000 - 100_000 * run for run in range(100)])
    runs, _ = warm_up(lambda: clock.work(next(lengths, 10_000_000)), 10.0)

    assert runs > 100


def test_warm_up_of_calls_that_never_settle_ends_in_time(clock: Clock) -> None:
    lengths = iter([40_000_000, 60_000_000] * 1000)
    _, lasted_ns = warm_up(lambda: clock.work(next(lengths)), 0.5)

    assert 500_000_000 <= lasted_ns < 600_000_000
