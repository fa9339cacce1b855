"""One board in the memory of a running rollout."""

from __future__ import annotations

from dataclasses import dataclass

from toolkit.fleet.acts import ACTIVATE, CHECK, CONFIRM, HEALTH, OBSERVE, PROBE, REVERT, STAGE
from toolkit.fleet.states import CONFIRMED, FINAL, PENDING, PROBED, STAGED, TRIAL
from toolkit.fleet.waves import Member


@dataclass(slots=True)
class FleetBoard:
    """A board with all that decides its next step."""

    member: Member
    wave: int
    """1 for the first wave."""
    state: str = PENDING
    since: float = 0.0
    """Seconds since 1970 of the state."""
    running: str = ""
    """Step that goes on now; empty for none."""
    attempts: int = 0
    """Number of activations that were begun."""
    is_exposed: bool = False
    """Whether the release may be active on the board without being confirmed."""
    is_uncertain: bool = False
    """Whether what the last step did is not known: the board is observed first."""
    is_orphan: bool = False
    """Whether the controller was away while the release may have been on trial."""
    is_healthy: bool = False
    """Whether the health gate of the trial passed."""
    wants_revert: bool = False
    is_inconclusive: bool = False
    """Whether a gate could not be judged: nothing goes on with the board before a resume."""
    is_checked: bool = False
    """Whether the board was checked after the soak of its wave."""
    deadline: float = 0.0
    """Seconds since 1970 at which an exposed board without an answer counts as failed; else 0."""
    silent_since: float = 0.0
    """Seconds since 1970 of the first of the last steps without an answer; 0 for none."""
    tries: int = 0
    """Number of the last steps without an answer."""
    retry_at: float = 0.0
    """Seconds since 1970 before which it is not tried again; 0 for now."""
    reason: str = ""
    """Reason of the last failure, in words."""
    fingerprint: str = ""
    """Cause of the last failure."""

    @property
    def name(self) -> str:
        """Name of the target."""
        return self.member.name

    def next_step(self, stopping: bool, probes: bool) -> str:
        """Return the step that the board needs next; empty for none.

        Args:
            stopping: Whether the rollout stops, so that boards on trial revert.
            probes: Whether the policy has gates before the activation.
        """
        if self.is_uncertain:
            return OBSERVE
        if self.state == TRIAL:
            if self.wants_revert or stopping:
                return REVERT
            return CONFIRM if self.is_healthy else HEALTH
        if self.is_inconclusive:
            return ""
        if self.state == STAGED and probes:
            return PROBE
        steps = {PENDING: STAGE, STAGED: ACTIVATE, PROBED: ACTIVATE, CONFIRMED: CHECK}
        return steps.get(self.state, "")

    @property
    def is_at_risk(self) -> bool:
        """Whether the release was or may be active, and nobody knows yet whether it works."""
        was_active = self.attempts > 0 and self.state not in FINAL
        return self.is_exposed or self.is_uncertain or was_active

    @property
    def is_final(self) -> bool:
        """Whether nothing more is done with the board, but for the check after a soak."""
        return self.state in FINAL and not self.is_uncertain
