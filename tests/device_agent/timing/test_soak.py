"""A soak keeps its memory small and its samples spread, however long it lasts."""

import time

import pytest

from device_agent.timing import soak as soak_module
from device_agent.timing.soak import time_soak
from device_agent.timing.thinned import ThinnedList

MS = 1_000_000


class Clock:
    """Nanoseconds that pass only when somebody works."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0
        monkeypatch.setattr(time, "perf_counter_ns", lambda: self.now)
        monkeypatch.setattr(time, "process_time_ns", lambda: self.now)

    def work(self, ns: int) -> None:
        self.now += ns


def going_on(done_s: float, all_s: float) -> bool:
    return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(soak_module, "PLACES", 16)
    return Clock(monkeypatch)


def test_all_samples_are_kept_while_there_is_room(clock: Clock) -> None:
    timing = time_soak(lambda: clock.work(MS), 0.0, 0.016, going_on)

    assert timing.runs == 16
    assert list(timing.starts_ns) == [number * MS for number in range(16)]
    assert set(timing.samples_ns) == {MS}


@pytest.mark.parametrize("runs", [17, 32, 33, 1000, 4097])
def test_a_long_soak_keeps_samples_spread_evenly_over_all_of_it(clock: Clock, runs: int) -> None:
    timing = time_soak(lambda: clock.work(MS), 0.0, runs / 1000, going_on)
    starts = list(timing.starts_ns)
    steps = {later - earlier for earlier, later in zip(starts, starts[1:], strict=False)}

    assert timing.runs == runs
    assert 8 < len(starts) <= 16
    assert starts[0] == 0
    assert len(steps) == 1
    assert starts[-1] + steps.pop() > (runs - 1) * MS - MS


def test_a_sample_stays_beside_its_start(clock: Clock) -> None:
    lengths = iter([MS] + [MS * (1 + number % 7) for number in range(500)])
    timing = time_soak(lambda: clock.work(next(lengths)), 0.0, 1.0, going_on)
    begun, truth = 0, {}
    for number in range(500):
        truth[begun] = MS * (1 + number % 7)
        begun += truth[begun]

    assert [truth[start] for start in timing.starts_ns] == list(timing.samples_ns)


def test_the_memory_is_read_all_along(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak_module, "READINGS", 10)
    sizes = iter(range(1000, 2000))
    monkeypatch.setattr(soak_module, "rss_bytes", lambda: next(sizes))
    timing = time_soak(lambda: clock.work(MS), 0.0, 1.0, going_on)
    times, readings = list(timing.memory[::2]), list(timing.memory[1::2])

    assert readings == list(range(1000, 1010))
    assert times[0] == MS
    assert times[-1] >= 900 * MS


def test_it_says_how_far_it_is(clock: Clock) -> None:
    said: list[tuple[float, float]] = []

    def say(done_s: float, all_s: float) -> bool:
        said.append((done_s, all_s))
        return True

    time_soak(lambda: clock.work(100 * MS), 0.0, 5.0, say)

    assert [done for done, _ in said] == pytest.approx([1, 2, 3, 4, 5])
    assert {of for _, of in said} == {5.0}


def test_it_ends_early_when_it_is_told_to(clock: Clock) -> None:
    timing = time_soak(lambda: clock.work(100 * MS), 0.0, 60.0, lambda done_s, all_s: done_s < 3)

    assert timing.runs == 30
    assert timing.wall_ns == 3000 * MS


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 16, 17, 100, 1000])
def test_a_thinned_list_never_outgrows_its_places_and_spans_all(count: int) -> None:
    thinned = ThinnedList(8)
    for number in range(count):
        thinned.add(number)

    assert len(thinned.entries) <= 8
    steps = {b - a for a, b in zip(thinned.entries, thinned.entries[1:], strict=False)}
    assert len(steps) <= 1
    if count:
        assert thinned.entries[0] == 0
        assert thinned.entries[-1] >= count / 2 - 1
    thinned.add_last("the end")
    assert thinned.entries[-1] == "the end"
