"""The policy of a rollout: waves, budgets, limits and gates, as data. Pure.

`Policy()` is the safe default: it holds where no policy file is named, and for each table that a
file leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from types import MappingProxyType

from toolkit.fleet.windows import Window

#: Gates that need a measurement on the board before the release is activated.
PROBE_GATES = frozenset({"parity", "latency_ratio", "memory", "temperature", "accuracy"})

#: Limit of each gate that the safe default demands; the units are those of `toolkit.judge.gates`.
DEFAULT_GATES: Mapping[str, float] = MappingProxyType(
    {"health": 1.0, "parity": 1.0, "latency_ratio": 1.1, "temperature": 85.0}
)

#: Largest number of boards that a policy may name.
MOST_BOARDS = 10_000_000

#: Largest number of boards behind one jump host at one moment: OpenSSH refuses some of more than
#: 10 logins that are not complete (`MaxStartups 10:30:100`).
MOST_PER_JUMP_HOST = 8


@dataclass(frozen=True)
class WaveSize:
    """Number of boards that have the release when a wave is over, and what follows the wave."""

    count: int | None = None
    """Number of boards, those of the earlier waves included; `None` where `fraction` says it."""
    fraction: float | None = None
    """Share of all boards, 0-1, those of the earlier waves included; `None` where `count` says
    it."""
    soak_s: float = 0.0
    """Seconds between the last confirmation of the wave and the next wave. At its end every board
    of the wave is checked once more. 0 for neither."""

    def boards(self, members: int) -> int:
        """Return the number of boards that have the release after the wave.

        Args:
            members: Number of all boards of the rollout.
        """
        if self.count is not None:
            return min(self.count, members)
        return min(members, ceil((self.fraction or 0.0) * members - 1e-9))


@dataclass(frozen=True)
class Allowance:
    """Number of boards of a wave at which a rollout does not go on: the smaller of both bounds."""

    count: int
    """Number of boards, at least 1."""
    rate: float
    """Share of the boards of the wave, 0-1; it never allows fewer than 1 board."""

    def boards(self, wave_size: int) -> int:
        """Return the number of boards for a wave of a size; at least 1."""
        return max(1, min(self.count, int(self.rate * wave_size + 1e-9)))


@dataclass(frozen=True)
class Concurrency:
    """Largest numbers of boards on which something is done at one moment."""

    total: int = 32
    """Number of boards of the whole rollout."""
    per_jump_host: int = 8
    """Number of boards behind one jump host, at most `MOST_PER_JUMP_HOST`."""
    per_site: int = 16
    """Number of boards of one site."""


DEFAULT_WAVES = (
    WaveSize(fraction=0.02, soak_s=600),
    WaveSize(fraction=0.1, soak_s=600),
    WaveSize(fraction=0.5, soak_s=600),
    WaveSize(fraction=1.0),
)


@dataclass(frozen=True)
class Policy:
    """Limits of a rollout: what it may do, and when it stops or pauses."""

    waves: tuple[WaveSize, ...] = DEFAULT_WAVES
    """Waves in their order; the last one ends with all boards."""
    failure_budget: Allowance = Allowance(count=20, rate=0.05)
    """Number of failed boards of a wave at which the rollout stops. Boards that failed and boards
    on trial are never more than this, so no more boards can be harmed."""
    unreachable: Allowance = Allowance(count=100, rate=0.1)
    """Number of boards of a wave, unreachable past the deadline, at which the rollout pauses."""
    unreachable_deadline_s: float = 3600.0
    """Seconds for which a board that does not answer is tried again."""
    same_fingerprint: int = 3
    """Number of boards that fail for the same cause, at which the rollout stops at once."""
    concurrency: Concurrency = Concurrency()
    site_label: str = "site"
    """Label of the targets that names the site."""
    trial_deadline_s: float = 120.0
    """Seconds after which a board reverts by itself where nobody confirms the activation."""
    accept_no_reboot_revert: bool = False
    """Whether boards are activated on which nothing reverts after a reboot until kedge connects."""
    override_runtime: bool = False
    """Whether a board for which no variant fits gets the first one against which only the release
    of its runtime speaks."""
    gates: Mapping[str, float] = field(default_factory=lambda: DEFAULT_GATES)
    """Limit by name of a gate; a gate that is absent is not demanded."""
    windows: tuple[Window, ...] = ()
    """Maintenance windows. A board that no window concerns may be activated at any time."""

    @property
    def probes(self) -> bool:
        """Whether a gate needs a measurement before the activation."""
        return not PROBE_GATES.isdisjoint(self.gates)
