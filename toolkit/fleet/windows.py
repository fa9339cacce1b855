"""Maintenance windows: the hours in which boards with a label may be activated. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

#: Names of the days, in the order of `datetime.weekday`.
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True)
class Window:
    """Hours of some days of the week."""

    labels: Mapping[str, str]
    """Labels that a target must have to be concerned, by name; empty for every target."""
    days: frozenset[int]
    """Days on which the window opens; 0 is Monday."""
    start_minute: int
    """Minute of the day at which it opens, 0-1439."""
    end_minute: int
    """Minute of the day at which it closes; at most `start_minute` for one of the next day."""
    timezone: str = "UTC"
    """Name of the time zone, such as `Europe/Berlin`."""

    def concerns(self, labels: Mapping[str, str]) -> bool:
        """Return whether a target with these labels waits for the window."""
        return all(labels.get(name) == value for name, value in self.labels.items())


def windows_of(windows: Iterable[Window], labels: Mapping[str, str]) -> tuple[int, ...]:
    """Return the numbers of the windows that concern a target.

    Args:
        windows: Windows of the policy.
        labels: Labels of the target.
    """
    return tuple(number for number, window in enumerate(windows) if window.concerns(labels))


def next_opening(windows: Iterable[Window], now: float) -> float:
    """Return when a board that these windows concern may be activated next.

    Args:
        windows: Windows of the board; it may be activated in each of them.
        now: Seconds since 1970.

    Returns:
        `now` where one is open, or there is none; else the seconds since 1970 of the next opening.
    """
    return min((_opening(window, now) for window in windows), default=now)


def find_zone(name: str) -> ZoneInfo | None:
    """Return a time zone; `None` where this computer knows none of the name."""
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # absent, or a path rather than a name
        return None


def _opening(window: Window, now: float) -> float:
    zone = ZoneInfo(window.timezone)
    midnight = datetime.fromtimestamp(now, zone).replace(hour=0, minute=0, second=0, microsecond=0)
    lasts_past_midnight = window.end_minute <= window.start_minute
    openings = []
    for offset in range(-1, 8):
        day = midnight + timedelta(
            days=offset
        )  # wall time: a day of summer time has 23 or 25 hours
        if day.weekday() not in window.days:
            continue
        opens = _at(day, window.start_minute)
        closes = _at(day + timedelta(days=int(lasts_past_midnight)), window.end_minute)
        if opens <= now < closes:
            return now
        if opens > now:
            openings.append(opens)
    return min(openings)


def _at(day: datetime, minute: int) -> float:
    return day.replace(hour=minute // 60, minute=minute % 60).timestamp()
