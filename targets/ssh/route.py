"""The way to a board: the SSH servers on it, in order; kedge.toml wins over ~/.ssh/config."""

from __future__ import annotations

import getpass
from dataclasses import dataclass, replace
from pathlib import Path

from targets.address import DEFAULT_PORT, Address, AddressError, parse_jump
from targets.inventory import Target
from targets.ssh.config import HostSettings, SshConfigError, read_settings

CONNECT_TIMEOUT_S = 10.0

#: A way through more jump hosts than this is a circle.
_MOST_HOPS = 8


@dataclass(frozen=True)
class Hop:
    """One SSH server on the way; the last one is the board."""

    name: str
    """In messages: the target's name, or `the jump host HOST`."""
    user: str
    host: str
    port: int
    known_as: str
    """In known_hosts and in `jump_host_keys` of kedge.toml: HOST, or [HOST]:PORT."""
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    identities: tuple[Path, ...] = ()
    identities_only: bool = False
    identity_is_pinned: bool = False
    """Whether the identity stands in kedge.toml: then it must be there."""
    proxy_command: str | None = None
    host_key: str | None = None
    """The fingerprint that kedge.toml holds."""
    host_key_type: str | None = None
    is_board: bool = False
    passed_over: tuple[str, ...] = ()
    """What of ~/.ssh/config was not followed."""

    @property
    def place(self) -> str:
        """Where it is, for a message."""
        return f"{self.host} port {self.port}"


def route_to(target: Target) -> tuple[Hop, ...]:
    """Find the servers on the way to a target, the nearest first, the board last.

    Raises:
        AddressError: The address or a jump host is none.
        SshConfigError: The user's SSH configuration is wrong, or its jump hosts form a circle.
    """
    hops = _route(target.ssh_address, target.jump, _MOST_HOPS)
    board = hops[-1]
    identities = (target.identity,) if target.identity else board.identities
    board = replace(
        board,
        name=target.name,
        is_board=True,
        identities=identities,
        identities_only=bool(target.identity) or board.identities_only,
        identity_is_pinned=bool(target.identity),
        host_key=target.host_key,
        host_key_type=target.host_key_type,
    )
    return (*(_pinned(hop, target) for hop in hops[:-1]), board)


def _pinned(hop: Hop, target: Target) -> Hop:
    kind, _, fingerprint = target.jump_host_keys.get(hop.known_as, "").partition(" ")
    return replace(hop, host_key=fingerprint or None, host_key_type=kind or None)


def _route(address: Address, jump: str | None, left: int) -> list[Hop]:
    if left == 0:
        raise SshConfigError(
            f"the jump hosts to {address.host} lead in a circle",
            "See what ProxyJump of ~/.ssh/config says of each: ssh -G HOST",
        )
    settings = read_settings(address.host, address.user, address.port)
    if jump is None and settings.jump:
        jump = settings.jump
        # `Host *` with a ProxyJump also matches the jump host, which is reached directly.
        if any(found.host == address.host for found in parse_jump(jump)):
            jump = None
    hop = _hop(address, settings)
    nearer = parse_jump(jump) if jump else ()
    if not nearer:
        return [hop if jump is None else replace(hop, proxy_command=None)]
    # The nearest may lie behind jump hosts of its own; the others are reached through it.
    way = _route(nearer[0], None, left - 1)
    for between in nearer[1:]:
        found = _hop(between, read_settings(between.host, between.user, between.port))
        way.append(replace(found, proxy_command=None))
    return [*way, replace(hop, proxy_command=None)]


def _local_user(host: str) -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # a user id without a name, as in some containers
        raise AddressError(
            f"nobody says as which user to log in to {host}", "Write USER@HOST."
        ) from error


def _hop(address: Address, settings: HostSettings) -> Hop:
    host = settings.host or address.host
    port = address.port or settings.port or DEFAULT_PORT
    known_as = settings.host_key_alias or (host if port == DEFAULT_PORT else f"[{host}]:{port}")
    return Hop(
        name=f"the jump host {address.host}",
        user=address.user or settings.user or _local_user(address.host),
        host=host,
        port=port,
        known_as=known_as,
        connect_timeout_s=settings.connect_timeout_s or CONNECT_TIMEOUT_S,
        identities=settings.identities,
        identities_only=settings.identities_only,
        proxy_command=settings.proxy_command,
        passed_over=settings.passed_over,
    )
