"""The user's ~/.ssh/known_hosts, read line by line as ssh reads it; the file is never written.

A line that is damaged, or that has a marker kedge does not follow (@cert-authority), is passed
over: it says nothing about any server.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from dataclasses import dataclass
from pathlib import Path

_REVOKED = "@revoked"

#: Number of fields in a public key, its type included, by type. Source: RFC 4253, 6.6; RFC 5656,
#: 3.1; RFC 8709, 4.
_FIELDS = {
    "ssh-rsa": 3,
    "ssh-ed25519": 2,
    "ecdsa-sha2-nistp256": 3,
    "ecdsa-sha2-nistp384": 3,
    "ecdsa-sha2-nistp521": 3,
}
_ED25519_BYTES = 32


@dataclass(frozen=True)
class KnownKey:
    """Key of one line that is about a server."""

    kind: str
    """Type of the key, such as `ssh-ed25519`."""
    fingerprint: str
    """`SHA256:…`, as `ssh-keygen -l` prints it."""
    is_revoked: bool
    """Whether the line has the marker @revoked: no server may show the key."""
    where: str
    """File and number of the line, for messages."""


def keys_of_host(name: str, path: Path | None = None) -> tuple[KnownKey, ...]:
    """Return the keys that the file has for a server.

    Args:
        name: HOST, or [HOST]:PORT for another port than 22.
        path: Path of the file; without it ~/.ssh/known_hosts.

    Returns:
        Keys in the order of their lines; empty where the file is missing or cannot be read.
    """
    try:
        path = path or Path.home() / ".ssh" / "known_hosts"
        lines = path.read_bytes().split(b"\n")
    except (OSError, RuntimeError):  # RuntimeError: a user without a home
        return ()
    keys = []
    for number, line in enumerate(lines, 1):
        key = _key_of_line(line.decode("utf-8", "replace"), name, f"{path}, line {number}")
        if key is not None:
            keys.append(key)
    return tuple(keys)


def _key_of_line(line: str, name: str, where: str) -> KnownKey | None:
    words = line.split()
    marker = words.pop(0) if words and words[0].startswith("@") else ""
    if marker not in ("", _REVOKED) or len(words) < 3 or words[0].startswith("#"):
        return None
    names, kind, text = words[:3]
    if not _is_about(names, name):
        return None
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if not _is_whole(blob, kind):
        return None
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return KnownKey(kind, f"SHA256:{digest}", marker == _REVOKED, where)


def _is_about(names: str, name: str) -> bool:
    """Tell whether a server is one of the names of a line: patterns with commas, or one hash."""
    if names.startswith("|"):
        return _is_hash_of(names, name)
    patterns = names.split(",")
    if any(_matches(pattern[1:], name) for pattern in patterns if pattern.startswith("!")):
        return False
    return any(_matches(pattern, name) for pattern in patterns)


def _matches(pattern: str, name: str) -> bool:
    """Compare by `*` and `?` only: the brackets of [HOST]:PORT are no class of characters."""
    expression = "".join({"*": ".*", "?": "."}.get(sign, re.escape(sign)) for sign in pattern)
    return re.fullmatch(expression, name, re.IGNORECASE) is not None


def _is_hash_of(text: str, name: str) -> bool:
    parts = text.split("|")
    if len(parts) != 4 or parts[1] != "1":
        return False
    try:
        salt, digest = base64.b64decode(parts[2]), base64.b64decode(parts[3])
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(hmac.digest(salt, name.lower().encode(), "sha1"), digest)


def _is_whole(blob: bytes, kind: str) -> bool:
    """Tell whether the bytes are one public key of the type that the line names, to its end."""
    fields = []
    while blob:
        size = int.from_bytes(blob[:4], "big")
        field, blob = blob[4 : 4 + size], blob[4 + size :]
        if len(field) != size:
            return False
        fields.append(field)
    if len(fields) != _FIELDS.get(kind) or fields[0] != kind.encode():
        return False
    return kind != "ssh-ed25519" or len(fields[1]) == _ED25519_BYTES
