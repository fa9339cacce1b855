"""Requests at fixed times, against a clock that only calls and sleeps move."""

import time
from array import array

import pytest

from device_agent.contract.measurement import LEAST_RUNS
from device_agent.timing.paced import time_paced

MS = 1_000_000


class Clock:
    """Nanoseconds that pass when somebody works or sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, wakes_late_ns: int = 0) -> None:
        self.now = 0
        self._late = wakes_late_ns
        monkeypatch.setattr(time, "perf_counter_ns", lambda: self.now)
        monkeypatch.setattr(time, "process_time_ns", lambda: self.now)
        monkeypatch.setattr(time, "sleep", self._sleep)

    def work(self, ns: int) -> None:
        self.now += ns

    def _sleep(self, seconds: float) -> None:
        self.now += round(seconds * 1e9) + self._late


def test_a_quick_call_answers_each_request_in_its_own_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    timing = time_paced(lambda: clock.work(2 * MS), 0.0, 0.2, 10 * MS)

    assert list(timing.samples_ns) == [2 * MS] * 20
    assert list(timing.responses_ns) == [2 * MS] * 20
    assert timing.requests == 20
    assert timing.wall_ns == 192 * MS


def test_one_stall_is_felt_by_all_who_waited_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    lengths = iter([MS] + [MS] * 3 + [36 * MS] + [MS] * 50)  # the first is the warm-up
    timing = time_paced(lambda: clock.work(next(lengths)), 0.0, 0.1, 10 * MS)

    assert list(timing.samples_ns) == [MS] * 3 + [36 * MS] + [MS] * 6
    assert list(timing.responses_ns) == [
        *[MS] * 3, 36 * MS, 27 * MS, 18 * MS, 9 * MS, MS, MS, MS
    ]  # fmt: skip


def test_a_call_slower_than_the_period_falls_behind_without_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch)
    timing = time_paced(lambda: clock.work(15 * MS), 0.0, 0.3, 10 * MS)

    assert timing.requests == 30
    assert list(timing.responses_ns) == [15 * MS + 5 * MS * number for number in range(20)]
    assert len(timing.samples_ns) == 20  # ten were still waiting when the time was up


def test_waking_up_late_is_part_of_the_response_and_not_of_the_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(monkeypatch, wakes_late_ns=70_000)
    timing = time_paced(lambda: clock.work(MS), 0.0, 0.2, 10 * MS)

    assert set(timing.samples_ns) == {MS}
    assert set(timing.responses_ns[1:]) == {MS + 70_000}


def test_a_slow_rate_still_gets_its_least_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    timing = time_paced(lambda: clock.work(MS), 0.0, 0.01, 1000 * MS)

    assert len(timing.samples_ns) == timing.requests == LEAST_RUNS


def test_the_board_is_looked_at_only_around_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    moments: list[str] = []

    def mark(moment: str) -> None:
        moments.append(moment)
        clock.work(500 * MS)

    timing = time_paced(lambda: clock.work(MS), 0.0, 0.1, 10 * MS, mark)

    assert moments == ["begin", "end"]
    assert timing.responses_ns == array("Q", [MS] * 10)
