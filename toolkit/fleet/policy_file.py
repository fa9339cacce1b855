"""Reads the policy of a rollout from a TOML file; what is wrong in it is named with its place.

A file that is empty is the safe default, and so is each table that is absent.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from toolkit.errors import ToolkitError
from toolkit.fleet.policy import (
    DEFAULT_GATES,
    MOST_BOARDS,
    MOST_PER_JUMP_HOST,
    Allowance,
    Concurrency,
    Policy,
    WaveSize,
)
from toolkit.fleet.windows import DAYS, Window, find_zone
from toolkit.judge.gates import GATES

#: Largest policy file, in bytes.
_MOST_BYTES = 1 << 20

#: Longest time of a policy: 30 days, in seconds.
_MOST_S = 30 * 86400.0

#: Gates that are demanded by `true`, which is their limit 1.
_SWITCHES = frozenset({"health", "parity"})


class PolicyError(ToolkitError):
    """A policy is not what it must be: no rollout begins by it."""


def read_policy(path: Path | None) -> Policy:
    """Read a policy.

    Args:
        path: TOML file; `None` for the safe default.

    Raises:
        PolicyError: The file cannot be read, or is not right; the message names the place.
    """
    if path is None:
        return Policy()
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise PolicyError(
            f"cannot read the policy {path}: {error.strerror}",
            "Name another file, or leave --policy out for the safe default.",
        ) from error
    if len(text) > _MOST_BYTES:
        raise PolicyError(f"the policy {path} has more than {_MOST_BYTES} bytes", "Name a policy.")
    try:
        plain = tomlkit.parse(text.decode("utf-8")).unwrap()
    except (UnicodeDecodeError, TOMLKitError, RecursionError) as error:
        raise PolicyError(
            f"the policy {path} is not TOML: {error}",
            "Correct the file; docs/fleet_policy.md shows one.",
        ) from error
    return parse_policy(plain, str(path))


def parse_policy(plain: Mapping[str, Any], source: str) -> Policy:
    """Check plain values of a policy, such as those that the journal keeps.

    Args:
        plain: Values by key, as in the file.
        source: Name of the file, for messages.

    Raises:
        PolicyError: A key is unknown, or a value is not what it must be.
    """
    table = _Table(plain, source, "")
    default = Policy()
    unreachable = table.table("unreachable")
    deadline_s = unreachable.number("deadline_s", 1, _MOST_S, default.unreachable_deadline_s)
    policy = Policy(
        waves=_read_waves(table),
        failure_budget=_read_allowance(table.table("failure_budget"), default.failure_budget),
        unreachable=_read_allowance(unreachable, default.unreachable),
        unreachable_deadline_s=deadline_s,
        same_fingerprint=table.whole("same_fingerprint", 1, MOST_BOARDS, default.same_fingerprint),
        concurrency=_read_concurrency(table.table("concurrency")),
        site_label=table.text("site_label", default.site_label),
        trial_deadline_s=table.number("trial_deadline_s", 5, 86400, default.trial_deadline_s),
        accept_no_reboot_revert=table.flag("accept_no_reboot_revert", False),
        override_runtime=table.flag("override_runtime", False),
        gates=_read_gates(table.table("gates")),
        windows=tuple(_read_window(entry) for entry in table.tables("window")),
    )
    table.refuse_others()
    return policy


def plain_policy(policy: Policy) -> dict[str, Any]:
    """Return a policy as plain values, from which `parse_policy` makes it again."""
    gates: dict[str, Any] = {name: policy.gates.get(name, False) for name in GATES}
    return {
        "wave": [
            {
                **({"count": wave.count} if wave.count is not None else {}),
                **({"fraction": wave.fraction} if wave.fraction is not None else {}),
                "soak_s": wave.soak_s,
            }
            for wave in policy.waves
        ],
        "failure_budget": {
            "count": policy.failure_budget.count,
            "rate": policy.failure_budget.rate,
        },
        "unreachable": {
            "count": policy.unreachable.count,
            "rate": policy.unreachable.rate,
            "deadline_s": policy.unreachable_deadline_s,
        },
        "same_fingerprint": policy.same_fingerprint,
        "concurrency": {
            "total": policy.concurrency.total,
            "per_jump_host": policy.concurrency.per_jump_host,
            "per_site": policy.concurrency.per_site,
        },
        "site_label": policy.site_label,
        "trial_deadline_s": policy.trial_deadline_s,
        "accept_no_reboot_revert": policy.accept_no_reboot_revert,
        "override_runtime": policy.override_runtime,
        "gates": gates,
        "window": [
            {
                "labels": dict(window.labels),
                "days": [DAYS[day] for day in sorted(window.days)],
                "start": f"{window.start_minute // 60:02}:{window.start_minute % 60:02}",
                "end": f"{window.end_minute // 60:02}:{window.end_minute % 60:02}",
                "timezone": window.timezone,
            }
            for window in policy.windows
        ],
    }


class _Table:
    """A table of the file; each value is taken once, and what is left over is refused."""

    def __init__(self, plain: Any, source: str, place: str) -> None:
        self.source = source
        self.place = place
        if not isinstance(plain, Mapping):
            raise self.wrong("", "a table", plain)
        self._plain = dict(plain)
        self._known: list[str] = []

    def has(self, name: str) -> bool:
        return name in self._plain

    def take(self, name: str, default: Any) -> Any:
        self._known.append(name)
        return self._plain.pop(name, default)

    def table(self, name: str) -> _Table:
        return _Table(self.take(name, {}), self.source, self._inner(name))

    def tables(self, name: str) -> list[_Table]:
        plain = self.take(name, [])
        if not isinstance(plain, list):
            raise self.wrong(name, f"tables [[{name}]]", plain)
        return [
            _Table(entry, self.source, f"{self._inner(name)} {number}")
            for number, entry in enumerate(plain, 1)
        ]

    def number(self, name: str, least: float, most: float, default: float) -> float:
        value = self.take(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.wrong(name, "a number", value)
        if not least <= value <= most:
            raise self.wrong(name, f"{least:g} to {most:g}", value)
        return float(value)

    def whole(self, name: str, least: int, most: int, default: int) -> int:
        value = self.take(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.wrong(name, f"a whole number from {least} to {most}", value)
        return value

    def flag(self, name: str, default: bool) -> bool:
        value = self.take(name, default)
        if not isinstance(value, bool):
            raise self.wrong(name, "true or false", value)
        return value

    def text(self, name: str, default: str) -> str:
        value = self.take(name, default)
        if not isinstance(value, str) or not value:
            raise self.wrong(name, "a text", value)
        return value

    def refuse_others(self) -> None:
        """Refuse keys that nobody took."""
        for name in self._plain:
            nearest = difflib.get_close_matches(name, self._known, n=1, cutoff=0.5)
            guess = f"Did you mean {nearest[0]}? " if nearest else ""
            raise PolicyError(
                f"{self.source}: {self._inner(name)} is unknown",
                f"{guess}Known are: {', '.join(self._known)}.",
            )

    def wrong(self, name: str, expected: str, value: Any) -> PolicyError:
        place = self._inner(name) if name else self.place or "the policy"
        return PolicyError(
            f"{self.source}: {place}: expected {expected}, found {value!r:.80}",
            "Correct the value; docs/fleet_policy.md describes each of them.",
        )

    def _inner(self, name: str) -> str:
        return f"{self.place}.{name}" if self.place else name


def _read_waves(table: _Table) -> tuple[WaveSize, ...]:
    waves = []
    for entry in table.tables("wave"):
        has_count, has_fraction = entry.has("count"), entry.has("fraction")
        if has_count == has_fraction:
            raise entry.wrong("", "either count or fraction", "both" if has_count else "none")
        count = entry.whole("count", 1, MOST_BOARDS, 1)
        fraction = entry.number("fraction", 0, 1, 1)
        soak_s = entry.number("soak_s", 0, _MOST_S, 0)
        entry.refuse_others()
        if has_count:
            waves.append(WaveSize(count=count, soak_s=soak_s))
        else:
            waves.append(WaveSize(fraction=fraction, soak_s=soak_s))
    for kind in ("count", "fraction"):
        sizes = [size for size in (getattr(wave, kind) for wave in waves) if size is not None]
        if sizes != sorted(set(sizes)):
            raise table.wrong("wave", f"a {kind} that grows from wave to wave", sizes)
    if waves and waves[-1].fraction != 1:
        raise table.wrong("wave", "fraction = 1 in the last wave", waves[-1].fraction)
    return tuple(waves) or Policy().waves


def _read_allowance(table: _Table, default: Allowance) -> Allowance:
    """Read a budget; where a table names one of the two bounds, the other one does not apply."""
    has_any = table.has("count") or table.has("rate")
    free = Allowance(MOST_BOARDS, 1.0) if has_any else default
    allowance = Allowance(
        table.whole("count", 1, MOST_BOARDS, free.count), table.number("rate", 0, 1, free.rate)
    )
    table.refuse_others()
    return allowance


def _read_concurrency(table: _Table) -> Concurrency:
    default = Concurrency()
    most = MOST_PER_JUMP_HOST
    concurrency = Concurrency(
        total=table.whole("total", 1, 1024, default.total),
        per_jump_host=table.whole("per_jump_host", 1, most, default.per_jump_host),
        per_site=table.whole("per_site", 1, 1024, default.per_site),
    )
    table.refuse_others()
    return concurrency


def _read_gates(table: _Table) -> dict[str, float]:
    """Read limits of gates; only `false` takes a gate of the safe default away."""
    limits = {}
    for name, gate in GATES.items():
        value = table.take(name, DEFAULT_GATES.get(name, False))
        if value is True and name in _SWITCHES:
            value = 1
        if value is False:
            continue
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not gate.least <= value <= gate.most:
            expected = f"{gate.least:g} to {gate.most:g} ({gate.limit}), or false"
            raise table.wrong(name, expected, value)
        limits[name] = float(value)
    table.refuse_others()
    return limits


def _read_window(table: _Table) -> Window:
    labels = table.take("labels", {})
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise table.wrong("labels", 'labels as { site = "berlin" }', labels)
    days = table.take("days", list(DAYS))
    if not isinstance(days, list) or not days or not set(map(str, days)) <= set(DAYS):
        raise table.wrong("days", f"some of {', '.join(DAYS)}", days)
    zone = table.text("timezone", "UTC")
    if find_zone(zone) is None:
        raise table.wrong("timezone", "a time zone such as Europe/Berlin", zone)
    window = Window(
        labels=dict(labels),
        days=frozenset(DAYS.index(str(day)) for day in days),
        start_minute=_read_minute(table, "start"),
        end_minute=_read_minute(table, "end"),
        timezone=zone,
    )
    table.refuse_others()
    return window


def _read_minute(table: _Table, name: str) -> int:
    text = table.take(name, None)
    hours, _, minutes = text.partition(":") if isinstance(text, str) else ("", "", "")
    digits = len(hours) == len(minutes) == 2 and (hours + minutes).isascii()
    if not digits or not (hours + minutes).isdigit() or int(hours) > 23 or int(minutes) > 59:
        raise table.wrong(name, 'a time as "02:30"', text)
    return int(hours) * 60 + int(minutes)
