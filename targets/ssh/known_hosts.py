"""Files of known host keys, read line by line as ssh reads them; no file is ever written.

A line that is damaged, or that has a marker kedge does not follow (@cert-authority), is passed
over: it says nothing about any server.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from targets.ssh.config_words import matches_list

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

#: More than that of a file is not read; a line has some 200 bytes.
_MOST_BYTES = 64 << 20


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


def keys_of_host(name: str, paths: Sequence[Path]) -> tuple[KnownKey, ...]:
    """Return the keys that files have for a server.

    Args:
        name: HOST, or [HOST]:PORT for another port than 22.
        paths: Paths of the files.

    Returns:
        Keys in the order of the files and their lines; a file that is missing or cannot be read has
        none.
    """
    keys = []
    for path in paths:
        try:
            with path.open("rb") as file:
                lines = file.read(_MOST_BYTES).split(b"\n")
        except OSError:
            continue
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
    return matches_list(name.lower(), names.lower().split(","))


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
