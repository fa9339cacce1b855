"""Addresses of SSH servers, in the form that a person writes."""

from __future__ import annotations

import re
from dataclasses import dataclass

from targets.errors import TargetError

DEFAULT_PORT = 22

#: Written for `jump` where ~/.ssh/config names a jump host and none is wanted.
NO_JUMP = "none"

_ADDRESS = re.compile(
    r"((?P<user>[^@\s:,]+)@)?"
    r"(?P<host>\[[0-9a-fA-F:.%\w]+\]|[^@\s:\[\],-][^@\s:\[\],]*)"
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
    """Read `[USER@]HOST[:PORT]`; an IPv6 host stands in brackets.

    Raises:
        AddressError: The text is no address; the user corrects it.
    """
    match = _ADDRESS.match(text)
    port = int(match["port"]) if match and match["port"] else None
    if not match or (port is not None and not 0 < port < 65536):
        raise AddressError(
            f"{text!r} is not the address of a board",
            "Write USER@HOST, USER@HOST:PORT, a Host of ~/.ssh/config, or `local`.",
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
        parts = [part.strip().removeprefix("ssh://") for part in text.split(",")]
        return tuple(parse_address(part) for part in parts)
    except AddressError as error:
        raise AddressError(
            f"{text!r} names no jump host", "Write USER@HOST[:PORT], more of them after commas."
        ) from error
