"""Gates of a rollout: from what was seen on a board to pass, fail or inconclusive. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from toolkit.judge.parity import Parity

PASS, FAIL, INCONCLUSIVE = "pass", "fail", "inconclusive"


@dataclass(frozen=True)
class HealthAnswer:
    """How the health command of an application ended."""

    exit_code: int
    output: str
    """Last output, at most 2 KiB."""
    duration_ms: float


@dataclass(frozen=True)
class Evidence:
    """What was seen on one board; `None` and empty for what was not looked at."""

    health: HealthAnswer | None = None
    parity: Parity | None = None
    before_us: tuple[float, ...] = ()
    """Median latency of each process with the active release, microseconds."""
    after_us: tuple[float, ...] = ()
    """Median latency of each process with the new release, microseconds, taken in turns with the
    other."""
    peak_memory_bytes: int | None = None
    """Peak memory of the process that ran the new release."""
    highest_celsius: float | None = None
    """Highest temperature of the board while the new release ran."""
    right: int | None = None
    """Number of labelled samples that the new release classified right on the board."""
    samples: int = 0
    """Number of labelled samples."""
    exempt: Mapping[str, str] = field(default_factory=dict)
    """Reason by name of a gate that does not apply to this board, such as a latency ratio where
    there was no release before; it passes."""


@dataclass(frozen=True)
class GateResult:
    """What a gate says."""

    name: str
    verdict: str
    """`pass`, `fail` or `inconclusive`."""
    found: str
    """Figure that was found, in words with its unit and interval."""
    limit: str
    """Limit, in words with its unit."""
    reason: str
    """Reason in one sentence, for people."""


@dataclass(frozen=True)
class Gate:
    """A gate of the registry."""

    judge: Callable[[Evidence, float], GateResult]
    """Function from evidence and limit to the result."""
    lower_is_stricter: bool
    """Whether of two limits the lower one is the stricter one."""
    limit: str
    """Meaning and unit of the limit, for messages and documentation."""
    least: float
    """Lowest limit that makes sense."""
    most: float
    """Highest limit that makes sense."""


GATES: Mapping[str, Gate] = {}


def judge_gates(evidence: Evidence, limits: Mapping[str, float]) -> tuple[GateResult, ...]:
    """Judge all gates that are demanded.

    Args:
        evidence: Figures of the board.
        limits: Limit by name of a gate.
    """
    raise NotImplementedError


def strictest_limits(policy: Mapping[str, float], release: Mapping[str, float]) -> dict[str, float]:
    """Return the limits that hold: of each gate the stricter one of policy and release."""
    raise NotImplementedError


def overall(results: tuple[GateResult, ...]) -> str:
    """Return `fail` where one gate fails, else `inconclusive` where one is, else `pass`."""
    raise NotImplementedError
