"""What a board says of its releases."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Dict, Optional

#: Events of the log about an application that change what is active.
ACTIVATE, CONFIRM, REVERT = "activate", "confirm", "revert"


@dataclass(frozen=True)
class TrialState:
    """A release that is active and not yet confirmed."""

    previous: str
    """Digest of the release to which the board reverts; empty where it had none."""
    release: str
    """Digest of the manifest of the release on trial."""
    order: str
    """Digest of the order."""
    epoch: int
    """Epoch of the controller that activated it."""
    remaining_s: float
    """Seconds until the board reverts by itself; 0 after the deadline."""
    activated: bool
    """Whether `current` names the release on trial already."""


@dataclass(frozen=True)
class AppState:
    """The releases of one application on a board."""

    current: str
    """Digest of the manifest of the active release; empty for none."""
    previous: str
    """Digest of the release before; empty for none."""
    version: str
    """Version of the active release, for people."""
    variant: str
    """Variant of the active release."""
    since: float
    """Seconds since 1970, by the board's clock, of the last switch; 0 where it is not known."""
    order: str
    """Digest of the order of the last confirmed activation; empty for none."""
    order_counter: int
    """Highest counter of an order that was activated."""
    release_counter: int
    """Highest counter of a release that was confirmed."""
    security_floor: int
    """Lowest counter of a release that is accepted."""
    last_event: str
    """Last entry of the board's log about the application: `activate`, `confirm` or `revert`."""
    last_reason: str
    """Reason of the last revert, in words; else empty."""
    trial: Optional[TrialState] = None
    """Trial that is not yet decided; `None` for none."""


@dataclass(frozen=True)
class BoardReleases:
    """All that a controller must know of a board before it acts."""

    apps: Dict[str, AppState] = field(default_factory=dict)
    fleet: str = ""
    """Name of the fleet that the trust root names; empty where no root is enrolled."""
    root_version: int = 0
    """Version of the trust root; 0 for none."""
    epoch: int = 0
    """Highest epoch of a controller."""
    verifier: str = ""
    """Version of the program that checks signatures; empty where there is none."""
    verifier_absence: str = ""
    """Reason why there is no such program; empty where there is one."""
    reboot_recovery: str = ""
    """Program that starts the recovery after a reboot: `cron` or `systemd`; empty for none."""
    free_bytes: int = 0
    """Free bytes of the store's file system."""
    boot_id: str = ""
    """Kernel's id of the boot."""
