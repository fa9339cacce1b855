"""Waves of a rollout: which board is in which one, stratified and in a salted order. Pure.

A stratum is a kind of board with one runtime at one site. Each wave takes the same share of every
stratum, and the first boards of all strata come first, so that the first wave meets each of them
where it is large enough; where it is not, it meets each kind of board with each runtime first.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from toolkit.fleet.policy import Policy

#: Values of the hash that orders the boards.
_HASHES = float(1 << 64)


@dataclass(frozen=True, slots=True)
class Member:
    """A board of a rollout."""

    name: str
    """Name of the target."""
    board: str = ""
    """Kind of board."""
    runtime: str = ""
    """Runtime that loads the model, with its version."""
    site: str = ""
    """Site; empty where no label names it."""
    jump: str = ""
    """Nearest jump host; empty for none."""
    windows: tuple[int, ...] = ()
    """Numbers of the maintenance windows of the policy that concern the board."""
    variant: str = ""
    """Variant of the release that the board gets."""


@dataclass(frozen=True)
class Wave:
    """Boards that get the release together."""

    number: int
    """1 for the first wave."""
    members: tuple[Member, ...]
    """Boards in the order in which they are activated."""
    budget: int
    """Number of failed boards at which the rollout stops."""
    unreachable: int
    """Number of boards, unreachable past the deadline, at which the rollout pauses."""
    soak_s: float
    """Seconds before the next wave."""


def plan_waves(
    members: Sequence[Member], policy: Policy, salt: str, doubtful: Sequence[Member] = ()
) -> tuple[Wave, ...]:
    """Divide boards into waves; a wave without boards is left out.

    Args:
        members: Boards of different names.
        policy: Policy of the rollout.
        salt: Random text of the rollout.
        doubtful: Boards that will probably not get the release. They join the last wave, since a
            first wave of such boards would prove nothing about the others.
    """
    order = _stratified_order(members, salt)
    waves: list[Wave] = []
    first = 0
    for place, size in enumerate(policy.waves, 1):
        last = max(first, size.boards(len(order)))
        if place == len(policy.waves) and doubtful:
            order += _stratified_order(doubtful, salt)
            last = len(order)
        if last > first:
            waves.append(
                Wave(
                    number=len(waves) + 1,
                    members=tuple(order[first:last]),
                    budget=policy.failure_budget.boards(last - first),
                    unreachable=policy.unreachable.boards(last - first),
                    soak_s=size.soak_s,
                )
            )
        first = last
    if waves:  # a small fleet fills fewer waves: nobody comes after its last one
        waves[-1] = replace(waves[-1], soak_s=policy.waves[-1].soak_s)
    return tuple(waves)


def wave_of(name: str, salt: str, sizes: Sequence[int]) -> int:
    """Return the number of the wave that a board joins after the rollout began.

    The wave follows from name and salt alone, by the sizes of the waves, so that nobody chooses it.

    Args:
        name: Name of the target.
        salt: Random text of the rollout.
        sizes: Number of boards of each wave.
    """
    place, end = _hash(salt, name) / _HASHES * sum(sizes), 0
    for number, size in enumerate(sizes, 1):
        end += size
        if place < end:
            return number
    return len(sizes)


def count_strata(members: Sequence[Member]) -> int:
    """Return the number of strata: kinds of board, each with one runtime at one site."""
    return len({(member.board, member.runtime, member.site) for member in members})


def _stratified_order(members: Sequence[Member], salt: str) -> list[Member]:
    strata: dict[tuple[str, str, str], list[tuple[int, Member]]] = defaultdict(list)
    for member in members:
        stratum = (member.board, member.runtime, member.site)
        strata[stratum].append((_hash(salt, member.name), member))
    places: list[tuple[float, bool, int, str, Member]] = []
    kinds: set[tuple[str, str]] = set()
    for stratum in sorted(strata, key=lambda names: _hash(salt, "\0".join(names))):
        boards = sorted(strata[stratum], key=lambda entry: (entry[0], entry[1].name))
        for rank, (number, member) in enumerate(boards):
            is_repeated = rank > 0 or stratum[:2] in kinds
            places.append((rank / len(boards), is_repeated, number, member.name, member))
        kinds.add(stratum[:2])
    places.sort(key=lambda place: place[:4])
    return [place[4] for place in places]


def _hash(salt: str, name: str) -> int:
    text = f"{salt}\0{name}".encode("utf-8", "surrogateescape")
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big")
