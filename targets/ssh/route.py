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
_MOST_SERVERS = 8


@dataclass(frozen=True)
class SshServer:
    """One SSH server on the way; the last one is the board."""

    name: str
    """Name in messages: that of the target, or `the jump host HOST`."""
    user: str
    host: str
    port: int
    known_hosts_name: str
    """Name in known_hosts and in `jump_host_keys` of kedge.toml: HOST, or [HOST]:PORT."""
    known_hosts: tuple[Path, ...] = ()
    """Files of known host keys."""
    connect_timeout_s: float = CONNECT_TIMEOUT_S
    handshake_timeout_s: float | None = None
    """`ConnectTimeout` of ~/.ssh/config, which also bounds the handshake; `None` without it."""
    identities: tuple[Path, ...] = ()
    identities_only: bool = False
    identity_agent: str | None = None
    """Value of `IdentityAgent` in ~/.ssh/config; `None` where it has none."""
    identity_is_pinned: bool = False
    """Whether kedge.toml names the identity: then its file must exist."""
    proxy_command: str | None = None
    host_key: str | None = None
    """Fingerprint in kedge.toml; `None` where it has none."""
    host_key_type: str | None = None
    host_ca: str | None = None
    """Fingerprints of authorities in kedge.toml, with commas; `None` where it has none."""
    is_board: bool = False
    ignored_settings: tuple[str, ...] = ()
    """Settings of ~/.ssh/config that kedge does not follow, and where each stands."""

    @property
    def certified_name(self) -> str:
        """Name that a certificate of the server must be for: HOST, or its HostKeyAlias."""
        name = self.known_hosts_name
        return name[1:].partition("]")[0] if name.startswith("[") else name

    @property
    def place(self) -> str:
        """Host and port, for a message."""
        return f"{self.host} port {self.port}"


def route_to(target: Target) -> tuple[SshServer, ...]:
    """Find the servers on the way to a target, the nearest first, the board last.

    Raises:
        AddressError: The text for the board or for a jump host is no address; correct it.
        SshConfigError: The user's SSH configuration is wrong, or its jump hosts form a circle;
            the user corrects the file.
    """
    servers = _route(target.ssh_address, target.jump, _MOST_SERVERS)
    board = servers[-1]
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
        host_ca=target.host_ca,
    )
    return (*(_with_pinned_key(server, target) for server in servers[:-1]), board)


def _with_pinned_key(server: SshServer, target: Target) -> SshServer:
    kind, _, fingerprint = target.jump_host_keys.get(server.known_hosts_name, "").partition(" ")
    return replace(server, host_key=fingerprint or None, host_key_type=kind or None)


def _route(address: Address, jump: str | None, most_servers: int) -> list[SshServer]:
    if most_servers == 0:
        raise SshConfigError(
            f"the jump hosts to {address.host} lead in a circle",
            "See what ProxyJump of ~/.ssh/config says of each: ssh -G HOST",
        )
    settings = read_settings(address.host, address.user, address.port)
    if jump is None and settings.jump:
        jump = settings.jump
        # `Host *` with a ProxyJump also matches the jump host, which is reached directly.
        if any(jump_host.host == address.host for jump_host in parse_jump(jump)):
            jump = None
    server = _server_at(address, settings)
    jump_hosts = parse_jump(jump) if jump else ()
    if not jump_hosts:
        return [server if jump is None else replace(server, proxy_command=None)]
    # The nearest may lie behind jump hosts of its own; the others are reached through it.
    way = _route(jump_hosts[0], None, most_servers - 1)
    for place in jump_hosts[1:]:
        jump_host = _server_at(place, read_settings(place.host, place.user, place.port))
        way.append(replace(jump_host, proxy_command=None))
    return [*way, replace(server, proxy_command=None)]


def _local_user(host: str) -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:  # a user id without a name, as in some containers
        raise AddressError(
            f"nobody says as which user to log in to {host}", "Write USER@HOST."
        ) from error


def _server_at(address: Address, settings: HostSettings) -> SshServer:
    host = settings.host or address.host
    port = address.port or settings.port or DEFAULT_PORT
    place = host if port == DEFAULT_PORT else f"[{host}]:{port}"
    return SshServer(
        name=f"the jump host {address.host}",
        user=address.user or settings.user or _local_user(address.host),
        host=host,
        port=port,
        known_hosts_name=settings.host_key_alias or place,
        known_hosts=settings.known_hosts,
        connect_timeout_s=settings.connect_timeout_s or CONNECT_TIMEOUT_S,
        handshake_timeout_s=settings.connect_timeout_s,
        identities=settings.identities,
        identities_only=settings.identities_only,
        identity_agent=settings.identity_agent,
        proxy_command=settings.proxy_command,
        ignored_settings=settings.ignored_settings,
    )
