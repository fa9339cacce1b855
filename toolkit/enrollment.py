"""Adds boards to a project: one after a login, or a list of them with keys that are known."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from targets.agent_archive import agent_archive
from targets.board_profile import BoardProfile, recognise
from targets.entry_checks import check_fingerprint
from targets.inventory import Target
from targets.probe import probe_board
from targets.provision import connect, require_writable
from targets.transport import HostKeyError, UnreachableError
from toolkit.errors import ToolkitError
from toolkit.project import open_inventory, open_or_create_inventory

if TYPE_CHECKING:
    from targets.imports.target_list import NewTargets
    from targets.ssh.route import SshServer

Accepts = Callable[[str, str, str], bool]
"""Function that lets a person decide: (who shows it, type of the key, fingerprint) to yes or no."""

#: The types a board may also show when the one it prefers is not the expected one.
_KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa")


@dataclass(frozen=True)
class Enrollment:
    """A board that was added, and the facts that were read of it."""

    target: Target
    inventory: Path
    root: str
    """The folder for kedge's files, by its full path on the board."""
    free_bytes: int | None
    """Room there; `None` when the board does not tell."""
    lets_load: bool
    """Whether a runtime can be loaded from there: no, if it is mounted noexec."""
    profile: BoardProfile | None
    """The kind of board that was recognised, if any."""


def enroll(
    target: Target, host_key: str | None, accepts: Accepts, start: Path | None = None
) -> Enrollment:
    """Add a target to the project's inventory.

    Args:
        target: Board, as the user described it.
        host_key: Fingerprint that it must show; without one a person decides.
        accepts: Function that lets that person decide; also for each jump host that neither
            `target` nor ~/.ssh/known_hosts knows.
        start: Folder of the project; the current one if not given.

    Returns:
        Target as it was added, and the facts that were read of the board.

    Raises:
        InventoryError: The name is taken, or the address, the root or the fingerprint is none.
        HostKeyError: A server shows another key, or the person said no.
        BoardDiskError: The folder for kedge's files cannot be written.
        TargetError: The board cannot be reached or refuses the login. In every case nothing was
            written.
    """
    inventory = open_or_create_inventory(start)
    inventory.require_addable(target)
    if target.is_local:
        if host_key or target.identity or target.jump:
            raise ToolkitError(
                "this computer is reached without SSH",
                "Leave --host-key, --identity and --jump away, or write USER@HOST.",
            )
    else:
        if host_key is not None:
            check_fingerprint(host_key)
        target = _with_host_key(_with_jump_host_keys(target, accepts), host_key, accepts)
    with connect(target) as transport:
        board = probe_board(
            transport, target.root, agent_archive().sha256, python=target.execution.python
        )
    require_writable(board, target)
    profile = recognise(board.facts)
    if profile is not None:
        target = replace(target, board=profile.id)
    inventory.add(target)
    lets_load = "noexec" not in board.mount_options
    return Enrollment(target, inventory.path, board.root, board.free_bytes, lets_load, profile)


def enroll_list(
    path: Path,
    known_hosts: Path | None = None,
    board: str | None = None,
    dry_run: bool = False,
    start: Path | None = None,
) -> NewTargets:
    """Add the boards of a list to the project's inventory; no board is connected to.

    Args:
        path: List as CSV, or an Ansible inventory.
        known_hosts: File of known host keys; `None` for those that ssh reads.
        board: Kind of board of all that the list names no kind for.
        dry_run: Whether nothing is to be written.
        start: Folder of the project; the current one if not given.

    Raises:
        TargetListError: The list cannot be read, or boards in it are not right; nothing was
            written.
        InventoryError: `kedge.toml` is not right, or cannot be written.
    """
    from targets.imports.formats import read_list
    from targets.imports.row import TargetListError
    from targets.imports.target_list import make_targets
    from targets.ssh.config import usual_known_hosts
    from targets.ssh.known_hosts import KnownHostIndex

    if known_hosts is not None and not known_hosts.is_file():
        raise TargetListError(f"{known_hosts}: no such file", "Check the path of --known-hosts.")
    rows = read_list(path)
    inventory = open_or_create_inventory(start)
    keys = KnownHostIndex(usual_known_hosts() if known_hosts is None else (known_hosts,))
    new = make_targets(path, rows, keys, inventory.targets, board)
    if new.added and not dry_run:
        inventory.add_all(new.added)
    return new


def replace_host_key(
    name: str,
    fingerprint: str | None,
    show: Callable[[Target], None],
    accepts: Accepts,
    start: Path | None = None,
) -> tuple[Target, Target]:
    """Pin the host key that a board shows now in place of the one before.

    Args:
        name: Name of the target.
        fingerprint: Fingerprint that it must show; without one a person decides.
        show: Called with the target as it was, before anybody decides.
        accepts: Function that lets a person decide.
        start: Folder of the project; the current one if not given.

    Returns:
        Target before and after; equal where the board shows the key that was pinned.

    Raises:
        InventoryError: There is no such target, the fingerprint is none, or the file cannot be
            written.
        HostKeyError: The board shows another key than the expected one, the person said no, or the
            key is revoked.
        TargetError: The board cannot be reached. In every case nothing was changed.
    """
    from targets.ssh.route import route_to
    from targets.ssh.transport import read_host_key

    if fingerprint is not None:
        check_fingerprint(fingerprint)
    inventory = open_inventory(start)
    before = inventory.get(name)
    if before.is_local:
        raise ToolkitError(f"{name} is this computer, which has no host key", "Name a board.")
    bare = replace(before, host_key=None, host_key_type=None, host_ca=None)
    route = route_to(bare)
    if before.host_key_type is not None and fingerprint in (None, before.host_key):
        with suppress(UnreachableError, HostKeyError):  # it has no key of that type any more
            if read_host_key(route, before.host_key_type).fingerprint == before.host_key:
                return before, before
    show(before)
    after = _with_host_key(bare, fingerprint, accepts)
    fields = {
        "host_ca": None,
        "host_key": after.host_key,
        "host_key_type": after.host_key_type,
    }
    return before, inventory.change(name, fields)


def _with_jump_host_keys(target: Target, accepts: Accepts) -> Target:
    """Pin the host key of every jump host, the nearest first: each is the way to the next."""
    from targets.ssh.host_keys import (
        authorities_of,
        check_host_key,
        known_keys,
        refuse_revoked,
    )
    from targets.ssh.route import route_to
    from targets.ssh.transport import (
        read_host_key,  # paramiko takes 0.2 s to import: only who needs it
    )

    for position in range(len(route_to(target)) - 1):
        route = route_to(target)[: position + 1]  # with the keys that are pinned by now
        server = route[-1]
        if authorities_of(server):  # which vouch for its key on every connection
            continue
        pinned = known_keys(server)
        key = read_host_key(route, pinned[0].kind if len(pinned) == 1 else None)
        if pinned:
            check_host_key(server, key)
        else:
            refuse_revoked(server, key)
            _require_accepted(accepts(server.name, key.kind, key.fingerprint))
        pins = {**target.jump_host_keys, server.known_hosts_name: f"{key.kind} {key.fingerprint}"}
        target = replace(target, jump_host_keys=pins)
    return target


def _with_host_key(target: Target, expected: str | None, accepts: Accepts) -> Target:
    from targets.ssh.host_keys import refuse_revoked
    from targets.ssh.route import route_to
    from targets.ssh.transport import read_host_key

    route = route_to(target)
    key = read_host_key(route)
    refuse_revoked(route[-1], key)
    if expected is not None and key.fingerprint != expected:
        kind = _kind_of(route, expected, key.fingerprint)
        return replace(target, host_key=expected, host_key_type=kind)
    if expected is None:
        _require_accepted(accepts(target.name, key.kind, key.fingerprint))
    return replace(target, host_key=key.fingerprint, host_key_type=key.kind)


def _require_accepted(accepted: bool) -> None:
    if not accepted:
        raise HostKeyError("the host key was not accepted; nothing was changed")


def _kind_of(route: tuple[SshServer, ...], expected: str, fingerprint: str) -> str:
    """Find the type of the expected key among the others that the board has."""
    from targets.ssh.transport import read_host_key

    for kind in _KEY_TYPES:
        try:
            key = read_host_key(route, kind)
        except UnreachableError:  # it has no key of this type
            continue
        if key.fingerprint == expected:
            return key.kind
    raise HostKeyError(
        f"{route[-1].name} shows the host key {fingerprint}, not {expected}; nothing was changed",
        "Is this the right address? Ask the board: ssh-keygen -lf /etc/ssh/ssh_host_*_key.pub",
    )
