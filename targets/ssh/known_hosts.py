"""Files of known host keys, read line by line as ssh reads them; no file is ever written.

A line that is damaged, or that has a marker that nobody knows, is passed over: it says nothing
about any server.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from targets.ssh.config_words import matches_list
from targets.ssh.read_file import read_file

_REVOKED, _AUTHORITY = "@revoked", "@cert-authority"

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
    is_authority: bool = False
    """Whether the line has the marker @cert-authority: the key signs certificates of servers."""


@dataclass(frozen=True)
class _Line:
    """Line that says something about servers."""

    names: str
    """Patterns with commas between them, or one hash."""
    key: KnownKey


def keys_of_host(name: str, paths: Sequence[Path]) -> tuple[KnownKey, ...]:
    """Return the keys that files have for a server.

    Args:
        name: HOST, or [HOST]:PORT for another port than 22.
        paths: Paths of the files.

    Returns:
        Keys in the order of the files and their lines; a file that is missing or cannot be read has
        none.
    """
    text = name.lower().encode()
    lines = _lines(paths, lambda line: _may_be_about(line, text))
    return tuple(line.key for line in lines if _is_about(line.names, name))


def revoked_keys_of_host(name: str, paths: Sequence[Path]) -> tuple[KnownKey, ...]:
    """Return the keys that files revoke for a server; other lines cost no time.

    Args:
        name: HOST, or [HOST]:PORT for another port than 22.
        paths: Paths of the files.
    """
    lines = _lines(paths, lambda line: line.lstrip().startswith(_REVOKED.encode()))
    return tuple(line.key for line in lines if _is_about(line.names, name))


class KnownHostIndex:
    """Keys of many servers out of files that are read once.

    A hashed name can only be found by hashing the name of a server with the salt of each line. The
    search begins where the last one ended, and ends after the lines of the server, which follow
    each other where ssh wrote them.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._by_name: dict[str, list[KnownKey]] = {}
        self._patterns: list[_Line] = []
        self._hashes: list[tuple[bytes, bytes, KnownKey]] = []
        self._revoked_hashes: list[tuple[bytes, bytes, KnownKey]] = []
        self._next = 0
        for line in _lines(paths, bool):
            if line.names.startswith("|"):
                parts = _hash_parts(line.names)
                hashes = self._revoked_hashes if line.key.is_revoked else self._hashes
                hashes += [(*parts, line.key)] if parts is not None else []
            elif any(sign in line.names for sign in "*?!"):
                self._patterns.append(line)
            else:
                for name in line.names.lower().split(","):
                    self._by_name.setdefault(name, []).append(line.key)

    def keys_of(self, name: str) -> tuple[KnownKey, ...]:
        """Return the keys of a server: of lines with its name, of patterns, then of hashed names.

        Args:
            name: HOST, or [HOST]:PORT for another port than 22.
        """
        text = name.lower().encode()
        revoked = [key for salt, digest, key in self._revoked_hashes if _fits(salt, digest, text)]
        return (
            *self._by_name.get(name.lower(), ()),
            *(line.key for line in self._patterns if _is_about(line.names, name)),
            *revoked,
            *self._hashed_keys(text),
        )

    def _hashed_keys(self, text: bytes) -> list[KnownKey]:
        keys: list[KnownKey] = []
        for place in (*range(self._next, len(self._hashes)), *range(self._next)):
            salt, digest, key = self._hashes[place]
            if _fits(salt, digest, text):
                keys.append(key)
                self._next = place + 1
            elif keys:
                break
        return keys


def _fits(salt: bytes, digest: bytes, name: bytes) -> bool:
    return hmac.digest(salt, name, "sha1") == digest


def _may_be_about(line: bytes, name: bytes) -> bool:
    """Tell quickly whether a line is worth to be read; its names stand before the first space."""
    words = line.split(None, 2)
    names = words[1] if len(words) > 1 and words[0].startswith(b"@") else b"".join(words[:1])
    if names.startswith(b"|"):
        return _is_hash_of(names.decode("ascii", "replace"), name.decode())
    return name in names.lower() or b"*" in names or b"?" in names


def _lines(paths: Sequence[Path], is_needed: Callable[[bytes], bool]) -> Iterator[_Line]:
    """Read the lines of files that a function of their bytes lets through."""
    for path in paths:
        try:
            lines = read_file(path, _MOST_BYTES).split(b"\n")
        except OSError:
            continue
        for number, line in enumerate(lines, 1):
            if not is_needed(line):
                continue
            parsed = _parse_line(line.decode("utf-8", "replace"), f"{path}, line {number}")
            if parsed is not None:
                yield parsed


def _parse_line(line: str, where: str) -> _Line | None:
    words = line.split()
    marker = words.pop(0) if words and words[0].startswith("@") else ""
    is_known = marker in ("", _REVOKED, _AUTHORITY)
    if not is_known or len(words) < 3 or words[0].startswith("#"):
        return None
    names, kind, text = words[:3]
    try:
        blob = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if not _is_whole(blob, kind):
        return None
    fingerprint = fingerprint_of(blob)
    key = KnownKey(kind, fingerprint, marker == _REVOKED, where, marker == _AUTHORITY)
    return _Line(names, key)


def fingerprint_of(blob: bytes) -> str:
    """Return `SHA256:…` of a public key in the form of RFC 4253, 6.6."""
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"SHA256:{digest}"


def _is_about(names: str, name: str) -> bool:
    """Tell whether a server is one of the names of a line: patterns with commas, or one hash."""
    if names.startswith("|"):
        return _is_hash_of(names, name)
    return matches_list(name.lower(), names.lower().split(","))


def _is_hash_of(text: str, name: str) -> bool:
    parts = _hash_parts(text)
    if parts is None:
        return False
    return _fits(*parts, name.lower().encode())


def _hash_parts(text: str) -> tuple[bytes, bytes] | None:
    """Return salt and digest of a hashed name; `None` where it is damaged."""
    parts = text.split("|")
    if len(parts) != 4 or parts[1] != "1":
        return None
    try:
        return base64.b64decode(parts[2]), base64.b64decode(parts[3])
    except (binascii.Error, ValueError):
        return None


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
