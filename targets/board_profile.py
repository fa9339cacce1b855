"""What is known of kinds of boards (`targets/boards/*.toml`), matched with the facts of a board.

A profile never decides whether a board is ready: what was read from the board does. It adds what no
file on the board tells, such as what its accelerator needs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import tomlkit

from device_agent.contract.facts import Facts

#: A fact with this source is general knowledge that was not yet compared with the vendor's page.
ASSUMED = "assumed"


@dataclass(frozen=True)
class SourcedFact:
    """A fact and its source."""

    value: str
    source: str


@dataclass(frozen=True)
class Caveat:
    """Limitation of a board that a person should know before relying on it."""

    cause: str
    fix: str
    source: str
    when: Mapping[str, Any]
    """Values by key of `CONDITIONS`; the caveat applies when all are met."""


@dataclass(frozen=True)
class Roofline:
    """The most that the CPU of a board can do, as published; never a measurement of a model."""

    cores: int
    """Number of cores that work together."""
    integer_macs_per_s: float
    """Multiply-accumulates of 8-bit integers a second, of each core."""
    float_macs_per_s: float
    """Multiply-accumulates of 32-bit floats a second, of each core."""
    bytes_per_s: float
    """Bytes a second between memory and all cores."""
    source: str


@dataclass(frozen=True)
class BoardProfile:
    """One kind of board."""

    id: str
    """Name of the profile, such as `raspberry-pi-4` in `board = "raspberry-pi-4"`."""
    name: str
    compatible: tuple[str, ...]
    """Names in the device tree; a general one (the chip's) matches boards that are not listed."""
    models: tuple[str, ...]
    """Beginnings of the device tree's model."""
    parts: tuple[str, ...]
    """`implementer:part` of its cores; a board that shows others is another board."""
    recognition_source: str
    """Source of `compatible`, `models` and `parts`."""
    facts: Mapping[str, SourcedFact]
    caveats: tuple[Caveat, ...]
    roofline: Roofline | None = None
    """Speed of its CPU; `None` where no source gives it."""
    has_edgetpu: bool = False
    """Whether an Edge TPU is part of the board."""


#: Functions by key of a caveat's `when`; each says whether the facts of a board meet a value.
CONDITIONS: dict[str, Callable[[Facts, Any], bool]] = {
    "page_bytes_above": lambda facts, value: facts.page_bytes > value,
    "accelerator": lambda facts, value: any(entry.kind == value for entry in facts.accelerators),
}


@cache
def board_profiles() -> Mapping[str, BoardProfile]:
    """Read all profiles, by id."""
    folder = files("targets.boards")
    profiles = {}
    for path in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if path.name.endswith(".toml"):
            name = path.name.removesuffix(".toml")
            profiles[name] = _profile(name, tomlkit.parse(path.read_text("utf-8")).unwrap())
    return profiles


def recognise(facts: Facts) -> BoardProfile | None:
    """Find the profile of a board by its device tree, or `None`.

    The most special of its compatible names that any profile lists decides, then its model; a board
    whose cores are not those of the profile (an emulator with another's device tree) is none.

    Args:
        facts: Facts about the board, as the agent or the probe reports them.
    """
    profiles = [entry for entry in board_profiles().values() if _has_its_cores(entry, facts)]
    for name in facts.compatible:
        for profile in profiles:
            if name in profile.compatible:
                return profile
    for profile in profiles:
        if any(facts.model.startswith(beginning) for beginning in profile.models):
            return profile
    return None


def caveats_of(profile: BoardProfile, facts: Facts) -> tuple[Caveat, ...]:
    """Return the caveats of a profile that apply to a board."""
    return tuple(
        caveat
        for caveat in profile.caveats
        if all(CONDITIONS[key](facts, value) for key, value in caveat.when.items())
    )


def _has_its_cores(profile: BoardProfile, facts: Facts) -> bool:
    parts = {f"{kind.implementer}:{kind.part}" for kind in facts.core_classes if kind.part}
    return parts <= set(profile.parts)


def _profile(name: str, table: Mapping[str, Any]) -> BoardProfile:
    recognition = table["recognise"]
    return BoardProfile(
        id=name,
        name=table["name"],
        compatible=tuple(recognition["compatible"]),
        models=tuple(recognition["models"]),
        parts=tuple(recognition["parts"]),
        recognition_source=recognition["source"],
        facts={key: SourcedFact(**fact) for key, fact in table["facts"].items()},
        caveats=tuple(Caveat(**{"when": {}, **entry}) for entry in table.get("caveats", ())),
        roofline=Roofline(**table["roofline"]) if "roofline" in table else None,
        has_edgetpu=bool(table.get("has_edgetpu", False)),
    )
