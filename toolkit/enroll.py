"""Adds a board to a project: its host key is accepted by a person, and a login works, first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from targets.inventory import Address, Target, parse_address
from targets.provision import connect
from targets.transport import HostKeyError
from toolkit.errors import ToolkitError
from toolkit.project import open_or_create_inventory

Accepts = Callable[[str, str, str], bool]
"""Asks a person: (target, type of the key, fingerprint) to yes or no."""

#: The types a board may also show when the one it prefers is not the expected one.
_KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")


def enroll(
    target: Target, host_key: str | None, accepts: Accepts, start: Path | None = None
) -> tuple[Target, Path]:
    """Add a target to the project's inventory.

    Args:
        target: What the user said of it.
        host_key: The fingerprint that it must show; without one a person is asked.
        accepts: Asks that person.
        start: Where the project is; the current folder if not given.

    Returns:
        The target as it was added, and the inventory's path.

    Raises:
        InventoryError: The name is taken, or the address is none.
        HostKeyError: The board shows another key, or the person said no.
        TargetError: The board cannot be reached or refuses the login; nothing was written.
    """
    inventory = open_or_create_inventory(start)
    inventory.require_free(target.name)
    if target.is_local:
        if host_key or target.identity:
            raise ToolkitError(
                "this computer is reached without SSH",
                "Leave --host-key and --identity away, or write USER@HOST.",
            )
    else:
        target = _with_host_key(target, host_key, accepts)
        connect(target).close()
    inventory.add(target)
    return target, inventory.path


def _with_host_key(target: Target, expected: str | None, accepts: Accepts) -> Target:
    from targets.ssh import read_host_key  # paramiko takes 0.2 s to import: only who needs it

    address = parse_address(target.address)
    key_type, fingerprint = read_host_key(address)
    if expected is not None and fingerprint != expected:
        key_type, fingerprint = _other_key(address, expected, target, fingerprint)
    if expected is None and not accepts(target.name, key_type, fingerprint):
        raise HostKeyError("the host key was not accepted; nothing was added")
    return replace(target, host_key=fingerprint, host_key_type=key_type)


def _other_key(address: Address, expected: str, target: Target, shown: str) -> tuple[str, str]:
    """Find the expected key among the others that the board has."""
    from targets.ssh import read_host_key
    from targets.transport import UnreachableError

    for key_type in _KEY_TYPES:
        try:
            found = read_host_key(address, key_type)
        except UnreachableError:  # it has no key of this type
            continue
        if found[1] == expected:
            return found
    raise HostKeyError(
        f"{target.name} shows the host key {shown}, not {expected}; nothing was added",
        "Is this the right address? Ask the board: ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub",
    )
