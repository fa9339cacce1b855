"""Waves of a rollout: which board is in which one, stratified and in a salted order. Pure.

A stratum is a kind of board with one runtime at one site. Each wave takes the same share of every
stratum, and the first boards of all strata come first, so that the first wave meets each of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from toolkit.fleet.policy import Policy


@dataclass(frozen=True)
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


def plan_waves(members: Sequence[Member], policy: Policy, salt: str) -> tuple[Wave, ...]:
    """Divide boards into waves; a wave without boards is left out.

    Args:
        members: Boards of different names.
        policy: Policy of the rollout.
        salt: Random text of the rollout.
    """
    raise NotImplementedError


def wave_of(member: Member, policy: Policy, salt: str, members: int, first: int) -> int:
    """Return the number of the wave that a board joins after the rollout began.

    Args:
        member: Board that joins.
        policy: Policy of the rollout.
        salt: Random text of the rollout.
        members: Number of boards for which the waves were planned.
        first: Number of the first wave that is not over.
    """
    raise NotImplementedError
