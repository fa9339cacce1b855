"""Which host keys a server may show.

A board's key is pinned in kedge.toml when it is added. So is that of each jump host, by its name;
one that is not pinned there must be in known_hosts. A key that is known nowhere is refused:
whoever answers in place of a jump host could answer in place of every board behind it. A key that
known_hosts revokes is refused wherever it is pinned.
"""

from __future__ import annotations

from dataclasses import dataclass

from targets.ssh.host_certificate import check_certificate
from targets.ssh.known_hosts import keys_of_host, revoked_keys_of_host
from targets.ssh.route import SshServer
from targets.transport import HostKeyError

#: The signature algorithms under which a key of this type may be shown.
_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}


@dataclass(frozen=True)
class HostKey:
    """A server's public key, as far as it must be known to know the server again."""

    kind: str
    """Type of the key, such as `ssh-ed25519`; empty for a pin of any type."""
    fingerprint: str
    """`SHA256:…`, as `ssh-keygen -l` prints it."""
    certificate: bytes = b""
    """Certificate of the key that the server shows; empty for none."""


def known_keys(server: SshServer) -> tuple[HostKey, ...]:
    """Return the keys under which a server is known; empty when it is not."""
    if server.host_key is not None:
        return (HostKey(server.host_key_type or "", server.host_key),)
    if server.is_board:
        return ()
    keys = keys_of_host(server.known_hosts_name, server.known_hosts)
    without = {key.fingerprint for key in keys if key.is_revoked}
    plain = [key for key in keys if not key.is_authority and key.fingerprint not in without]
    return tuple(HostKey(key.kind, key.fingerprint) for key in plain)


def authorities_of(server: SshServer) -> frozenset[str]:
    """Return the fingerprints of the authorities that vouch for a server; empty where a key counts.

    Those of a board are in kedge.toml, those of a jump host in known_hosts (@cert-authority).
    """
    if server.host_ca is not None:
        return frozenset(server.host_ca.split(","))
    if server.is_board or known_keys(server):
        return frozenset()
    keys = keys_of_host(server.known_hosts_name, server.known_hosts)
    revoked = {key.fingerprint for key in keys if key.is_revoked}
    return frozenset(key.fingerprint for key in keys if key.is_authority) - revoked


def algorithms_for(keys: tuple[HostKey, ...]) -> tuple[str, ...]:
    """Name the algorithms to ask a server for, so that of several keys it shows a known one.

    Returns:
        Names of the algorithms; empty for any.
    """
    kinds = [key.kind for key in keys if key.kind]
    return tuple(name for kind in kinds for name in _ALGORITHMS.get(kind, (kind,)))


def refuse_revoked(server: SshServer, key: HostKey, is_authority: bool = False) -> None:
    """Refuse a key that known_hosts revokes, also where a person would accept it.

    Args:
        server: Server that shows the key.
        key: Its host key, or the key of the authority that certified it.
        is_authority: Whether the key is that of the authority.

    Raises:
        HostKeyError: The key is revoked: nothing may be sent to the server.
    """
    for entry in revoked_keys_of_host(server.known_hosts_name, server.known_hosts):
        if entry.fingerprint == key.fingerprint:
            owner = "authority that certified the host key" if is_authority else "host key"
            raise HostKeyError(
                f"the {owner} of {server.name} is revoked ({entry.where}): {key.fingerprint} may "
                "be in the hands of others",
                f"Give the server a new {'certificate' if is_authority else 'host key'}; or, if "
                "the line is wrong, remove it.",
            )


def check_host_key(server: SshServer, key: HostKey) -> None:
    """Refuse every key but the known ones.

    Args:
        server: Server that shows the key.
        key: Key that the server shows.

    Raises:
        HostKeyError: The server may be another machine, its key is revoked, or no key of it is
            known: nothing may be sent to it.
    """
    refuse_revoked(server, key)
    authorities = authorities_of(server)
    if server.host_ca is not None and not key.certificate:
        raise no_certificate(server)
    if authorities and key.certificate:
        authority = check_certificate(
            server.name, server.certified_name, key.certificate, authorities
        )
        refuse_revoked(server, HostKey("", authority), is_authority=True)
        return
    trusted_keys = known_keys(server)
    if any(known_key.fingerprint == key.fingerprint for known_key in trusted_keys):
        return
    if not trusted_keys:
        raise HostKeyError(
            f"the host key of {server.name} is not known: it shows {key.kind} {key.fingerprint}",
            f"Connect once with `ssh -p {server.port} {server.user}@{server.host}`, which asks and "
            "keeps it in ~/.ssh/known_hosts; or add the target again, which pins it in kedge.toml.",
        )
    raise HostKeyError(
        f"the host key of {server.name} has changed: {trusted_keys[0].fingerprint} was accepted, "
        f"{key.fingerprint} is shown now; this may be another machine",
        _hint_for_new_key(server),
    )


def no_certificate(server: SshServer) -> HostKeyError:
    """Return the error for a server that has no certificate, though an authority is to vouch."""
    otherwise = "connect once with ssh, which keeps its key"
    if server.is_board:
        otherwise = f"pin its key in place of host_ca: kedge target rekey {server.name}"
    return HostKeyError(
        f"{server.name} shows no host certificate, and its key is not pinned",
        f"Give its SSH server a HostCertificate, or {otherwise}",
    )


def no_such_key(server: SshServer) -> HostKeyError:
    """Return the error for a server that has no key of the types under which it is known."""
    kinds = ", ".join(key.kind for key in known_keys(server))
    message = f"{server.name} no longer shows a host key of type {kinds}"
    return HostKeyError(message, _hint_for_new_key(server))


def _hint_for_new_key(server: SshServer) -> str:
    if server.is_board:
        return f"If you replaced or reinstalled the board: kedge target rekey {server.name}"
    name = server.known_hosts_name
    if server.host_key is not None:
        return f"If it was reinstalled, correct {name!r} of jump_host_keys in kedge.toml."
    return f"If it was reinstalled: ssh-keygen -R '{name}', then connect with ssh."
