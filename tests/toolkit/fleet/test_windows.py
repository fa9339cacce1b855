"""Maintenance windows."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from toolkit.fleet.windows import Window, next_opening, windows_of

BERLIN = ZoneInfo("Europe/Berlin")
NIGHT = Window({"site": "berlin"}, frozenset(range(7)), 22 * 60, 4 * 60, "Europe/Berlin")
MONDAY = Window({}, frozenset({0}), 9 * 60, 10 * 60, "Europe/Berlin")


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).timestamp()


@pytest.mark.parametrize(
    ("now", "opening"),
    [
        ("2026-06-01T23:00", "2026-06-01T23:00"),
        ("2026-06-02T03:59", "2026-06-02T03:59"),
        ("2026-06-02T04:00", "2026-06-02T22:00"),
        ("2026-06-02T21:59", "2026-06-02T22:00"),
        # The clocks go forward, and back: it opens by the clock on the wall.
        ("2026-03-29T05:00", "2026-03-29T22:00"),
        ("2026-10-25T05:00", "2026-10-25T22:00"),
    ],
)
def test_a_window_past_midnight(now: str, opening: str) -> None:
    assert next_opening([NIGHT], at(now)) == at(opening)


def test_a_window_of_one_day_opens_a_week_later() -> None:
    assert next_opening([MONDAY], at("2026-06-01T10:00")) == at("2026-06-08T09:00")


def test_of_several_windows_the_next_one_counts() -> None:
    assert next_opening([MONDAY, NIGHT], at("2026-06-01T05:00")) == at("2026-06-01T09:00")


def test_without_a_window_any_time_is_good() -> None:
    assert next_opening([], 5.0) == 5.0


def test_a_window_concerns_targets_with_its_labels() -> None:
    assert windows_of((NIGHT, MONDAY), {"site": "berlin"}) == (0, 1)
    assert windows_of((NIGHT, MONDAY), {"site": "paris"}) == (1,)
