"""Which host keys a server may show.

A board's key is pinned in kedge.toml when it is added. So is that of each jump host, by its name;
one that is not pinned there must be in ~/.ssh/known_hosts. A key that is known nowhere is refused:
whoever answers in place of a jump host could answer in place of every board behind it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import paramiko

from targets.ssh.route import Hop
from targets.transport import HostKeyError

#: The signature algorithms under which a key of this type may be shown.
_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}


@dataclass(frozen=True)
class HostKey:
    """A server's public key, as far as it must be known to know the server again."""

    kind: str
    """As in `ssh-ed25519`; empty for a pin of any type."""
    fingerprint: str
    """`SHA256:…`, as `ssh-keygen -l` prints it."""


def known_keys(hop: Hop) -> tuple[HostKey, ...]:
    """Return the keys under which a server is known; empty when it is not."""
    if hop.host_key is not None:
        return (HostKey(hop.host_key_type or "", hop.host_key),)
    if hop.is_board:
        return ()
    try:
        hosts = paramiko.HostKeys(str(Path.home() / ".ssh" / "known_hosts"))
    except (OSError, RuntimeError, UnicodeDecodeError, paramiko.SSHException):
        return ()
    found = hosts.lookup(hop.known_as) or {}
    return tuple(HostKey(kind, key.fingerprint) for kind, key in found.items())


def algorithms_for(keys: tuple[HostKey, ...]) -> tuple[str, ...]:
    """Name the algorithms to ask a server for, so that of several keys it shows a known one.

    Returns:
        Their names; empty for any.
    """
    kinds = [key.kind for key in keys if key.kind]
    return tuple(name for kind in kinds for name in _ALGORITHMS.get(kind, (kind,)))


def check_host_key(hop: Hop, shown: HostKey) -> None:
    """Refuse every key but the known ones.

    Raises:
        HostKeyError: It is another, or none is known.
    """
    known = known_keys(hop)
    if any(key.fingerprint == shown.fingerprint for key in known):
        return
    if not known:
        raise HostKeyError(
            f"the host key of {hop.name} is not known: it shows {shown.kind} {shown.fingerprint}",
            f"Connect once with `ssh -p {hop.port} {hop.user}@{hop.host}`, which asks and keeps it "
            "in ~/.ssh/known_hosts; or add the target again, which pins it in kedge.toml.",
        )
    raise HostKeyError(
        f"the host key of {hop.name} has changed: {known[0].fingerprint} was accepted, "
        f"{shown.fingerprint} is shown now; this may be another machine",
        _again(hop),
    )


def no_such_key(hop: Hop) -> HostKeyError:
    """Say that a server has no key of the types under which it is known."""
    kinds = ", ".join(key.kind for key in known_keys(hop))
    return HostKeyError(f"{hop.name} no longer shows a host key of type {kinds}", _again(hop))


def _again(hop: Hop) -> str:
    if hop.is_board:
        return (
            f"If you reinstalled the board: kedge target remove {hop.name} --forget, "
            "then add it again."
        )
    if hop.host_key is not None:
        return f"If it was reinstalled, correct {hop.known_as!r} of jump_host_keys in kedge.toml."
    return f"If it was reinstalled: ssh-keygen -R '{hop.known_as}', then connect with ssh."
