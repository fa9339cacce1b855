"""Where a target is."""

from __future__ import annotations

from targets.inventory import LOCAL, Target

#: This computer, which every host has.
THIS_COMPUTER = Target("this computer", LOCAL)

_LOOPBACK = ("127.", "::1", "localhost")


def place_of(target: Target) -> str:
    """Say where a target is, so that nobody takes this computer for a board."""
    if target.is_local:
        return "this computer"
    from targets.ssh.route import route_to  # paramiko takes 0.2 s to import: only who needs it

    route = route_to(target)
    if len(route) == 1 and route[0].host.startswith(_LOOPBACK):  # else it is the jump host's
        return "this computer over SSH"
    return f"{target.name} ({target.address})"
