"""Addresses of SSH servers, in the form that a person writes."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

from targets.errors import TargetError

DEFAULT_PORT = 22

#: Written for `jump` where ~/.ssh/config names a jump host and none is wanted.
NO_JUMP = "none"

#: A user and a host come into the user's own ProxyCommand, which a shell reads: no sign of either
#: may mean something to it. `%` begins a token of ~/.ssh/config, or the zone of an IPv6 address.
_ADDRESS = re.compile(
    r"((?P<user>[\w.+%](?:[\w.+%-]|\\(?=\w))*)@)?"
    r"(?P<host>\[[A-Za-z0-9._:%][A-Za-z0-9._:%-]*\]|[A-Za-z0-9._%][A-Za-z0-9._%-]*)"
    r"(:(?P<port>[0-9]{1,5}))?\Z"
)


class AddressError(TargetError):
    """A text is no address."""

    exit_code = 3


@dataclass(frozen=True)
class Address:
    """Address of an SSH server; ~/.ssh/config supplies what is `None`."""

    user: str | None
    host: str
    port: int | None = None


def parse_address(text: str) -> Address:
    """Read `[USER@]HOST[:PORT]`, also after `ssh://`; an IPv6 host stands in brackets.

    Raises:
        AddressError: The text is no address; the user corrects it.
    """
    match = _ADDRESS.match(text.removeprefix("ssh://"))
    port = int(match["port"]) if match and match["port"] else None
    if not match or (port is not None and not 0 < port < 65536):
        raise AddressError(
            f"{text!r} is not the address of a board",
            _bracket_hint(text)
            or (match and f"Write USER@HOST:PORT with a PORT from 1 to 65535, not {port}.")
            or "Write USER@HOST, USER@HOST:PORT, a Host of ~/.ssh/config, or `local`; names have "
            "letters, digits and . _ - only.",
        )
    return Address(match["user"], match["host"].strip("[]"), port)


def parse_jump(text: str) -> tuple[Address, ...]:
    """Read jump hosts, the nearest first: `[USER@]HOST[:PORT]`, more after commas; or `none`.

    Raises:
        AddressError: A part is no address; the user corrects it.
    """
    if text.strip().lower() == NO_JUMP:
        return ()
    try:
        parts = [part.strip() for part in text.split(",")]
        return tuple(parse_address(part) for part in parts)
    except AddressError as error:
        raise AddressError(
            f"{text!r} names no jump host",
            next(filter(None, map(_bracket_hint, text.split(","))), "")
            or "Write USER@HOST[:PORT], more of them after commas; names have letters, digits and "
            ". _ - only.",
        ) from error


def _bracket_hint(text: str) -> str:
    """Write an IPv6 address that stands without brackets as it must be; empty for other texts."""
    user, at, host = text.strip().rpartition("@")
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return ""
    return (
        f"Write {user}{at}[{host}]: an IPv6 address has brackets; other hosts are USER@HOST:PORT."
    )
