"""Checks of the fields of a target's entry in `kedge.toml`. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from targets.address import AddressError, parse_address, parse_jump
from targets.errors import TargetError

DEFAULT_ROOT = "~/.local/share/kedge"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}\Z")
_ROOT = re.compile(r"(/|~/)[^\x00-\x1f\x7f]*\Z")

#: Longest root and longest name in it, in bytes. Source: PATH_MAX and NAME_MAX of Linux, limits.h;
#: kedge's own files lie up to 200 bytes below the root.
_MOST_ROOT_BYTES = 3800
_MOST_NAME = 255

_HOST_KEY = re.compile(r"SHA256:[A-Za-z0-9+/]{43}\Z")
_HOST_KEY_TYPES = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "ssh-rsa",
)
_JUMP_HOST_KEY = re.compile(r"(?P<kind>\S+) (?P<fingerprint>SHA256:\S+)\Z")


class InventoryError(TargetError):
    """`kedge.toml`, or what should be written to it, is not right."""

    exit_code = 3


def require_text(where: str, entry: Mapping[str, Any], key: str) -> str | None:
    """Return a field that is text, or `None` where it is missing.

    Args:
        where: File and entry, for messages.
        entry: Entry as TOML has it.
        key: Name of the field.

    Raises:
        InventoryError: The field is something else.
    """
    value = entry.get(key)
    if value is not None and not isinstance(value, str):
        raise InventoryError(f"{where}: {key} must be a string, found {value!r}")
    return str(value) if value is not None else None


def read_truth(where: str, entry: Mapping[str, Any], key: str) -> bool:
    """Return a field that is true or false; false where it is missing.

    Args:
        where: File and entry, for messages.
        entry: Entry as TOML has it.
        key: Name of the field.

    Raises:
        InventoryError: The field is something else.
    """
    value = entry.get(key, False)
    if not isinstance(value, bool):
        raise InventoryError(
            f"{where}: {key} must be true or false, found {value!r}",
            f"Write {key} = true, or leave it out.",
        )
    return bool(value)


def require_table(where: str, entry: Mapping[str, Any], key: str) -> dict[str, str]:
    """Return a field that is a table of texts; empty where it is missing.

    Args:
        where: File and entry, for messages.
        entry: Entry as TOML has it.
        key: Name of the field.

    Raises:
        InventoryError: The field is something else.
    """
    table = entry.get(key, {})
    if not isinstance(table, Mapping):
        raise InventoryError(f"{where}: {key} must be a table")
    return {str(name): str(value) for name, value in table.items()}


def check_name(name: str) -> None:
    """Refuse what cannot name a target.

    Raises:
        InventoryError: It has other characters, or too many.
    """
    if not _NAME.match(name):
        raise InventoryError(
            f"{name!r} is not a name for a target",
            "Use up to 63 letters, digits, dots, dashes and underscores, the first no sign.",
        )


def check_root(where: str, root: str) -> None:
    """Refuse a folder for kedge's files that is not a whole path.

    Raises:
        InventoryError: The path is relative or too long, or has control characters.
    """
    path = root.encode(errors="replace")
    if len(path) > _MOST_ROOT_BYTES or max(map(len, path.split(b"/"))) > _MOST_NAME:
        raise InventoryError(
            f"{where}: root has {len(path)} bytes, or a name in it more than {_MOST_NAME}",
            f"Write a shorter one, of at most {_MOST_ROOT_BYTES} bytes, as paths of Linux have.",
        )
    if not _ROOT.match(root):
        raise InventoryError(
            f"{where}: root must be an absolute path or begin with ~/, found {root!r}",
            f'Write root = "{DEFAULT_ROOT}", or leave it out.',
        )


def check_jump(where: str, jump: str | None) -> None:
    """Refuse jump hosts that cannot be read.

    Raises:
        InventoryError: The text is not in the form of `parse_jump`.
    """
    try:
        parse_jump(jump or "none")
    except AddressError as error:
        raise InventoryError(f"{where}: jump: {error}", error.hint) from error


def check_fingerprint(text: str) -> None:
    """Refuse a fingerprint that no host key can have, before anybody connects.

    Raises:
        InventoryError: It is not `SHA256:` and 43 characters of base64.
    """
    if not _HOST_KEY.match(text):
        raise InventoryError(
            f"the fingerprint of a host key is SHA256: and 43 characters, found {text!r}",
            "The board shows it: ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub",
        )


def check_jump_host_key(where: str, host: str, text: str) -> None:
    """Refuse a pinned key of a jump host that is not `TYPE SHA256:…`.

    Raises:
        InventoryError: The text has another form.
    """
    match = _JUMP_HOST_KEY.match(text)
    if match is None or not (
        match["kind"] in _HOST_KEY_TYPES and _HOST_KEY.match(match["fingerprint"])
    ):
        raise InventoryError(
            f"{where}: jump_host_keys of {host!r} must be `TYPE SHA256:…`, found {text!r}",
            "Remove it: the key is then looked up in ~/.ssh/known_hosts.",
        )


def check_ssh(
    where: str,
    address: str,
    host_key: str | None,
    host_key_type: str | None,
    host_ca: str | None = None,
) -> None:
    """Refuse an entry of an SSH board without a usable address, and a host key or an authority.

    Raises:
        InventoryError: A field is missing, or has another form.
    """
    try:
        parse_address(address)
    except AddressError as error:
        raise InventoryError(f"{where}: address: {error}", error.hint) from error
    hint = "Remove the entry and let `kedge target add` ask the board."
    if host_ca is not None:
        if host_key is not None or not all(map(_HOST_KEY.match, host_ca.split(","))):
            raise InventoryError(
                f"{where}: host_ca must be SHA256:… of the key of an authority, without a "
                f"host_key beside it; found {host_ca!r} and {host_key!r}",
                "Remove one of them.",
            )
        return
    if not _HOST_KEY.match(host_key or ""):
        raise InventoryError(
            f"{where}: host_key must be SHA256:… of the board's host key, found {host_key!r}", hint
        )
    if host_key_type is not None and host_key_type not in _HOST_KEY_TYPES:
        types = ", ".join(_HOST_KEY_TYPES)
        raise InventoryError(
            f"{where}: host_key_type must be one of {types}, found {host_key_type!r}", hint
        )
