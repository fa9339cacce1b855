"""The algorithms that kedge offers a server, and what the server offered where none fits."""

from __future__ import annotations

from collections.abc import Sequence

from targets.ssh.connection import Connection

#: Modern first; what paramiko no longer counts as safe is not offered.
CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
DIGESTS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)

#: Words of paramiko by kind of algorithm, to its name, its key in a server's offer, and its
#: key in paramiko's own options.
_KINDS = {
    "kex algorithm": ("key exchange", "kex_algo_list", "kex"),
    "host key": ("host key type", "server_key_algo_list", "key_types"),
    "ciphers": ("cipher", "server_encrypt_algo_list", "ciphers"),
    "macs": ("MAC", "server_mac_algo_list", "digests"),
}

#: Beginnings of names in an offer that are no algorithms. Source: RFC 8308, 2.1; PROTOCOL of
#: OpenSSH, 1.10.
_SIGNALS = ("ext-info-", "kex-strict-")

_OFFER_SHOWN = 400


def missing_algorithm(transport: Connection, reason: str) -> str:
    """Say which algorithm a server and kedge lack in common.

    Args:
        transport: Connection that failed.
        reason: Text of paramiko's error.

    Returns:
        Offer of the server and of kedge; empty for an error of another kind.
    """
    for words, (name, offer_key, own_key) in _KINDS.items():
        if f"no acceptable {words}" in reason and offer_key in transport.offer:
            own_names = getattr(transport.get_security_options(), own_key)
            return (
                f"have no {name} in common: it offers {_text_of(transport.offer[offer_key])}; "
                f"kedge has {_text_of(own_names)}"
            )
    return ""


def _text_of(names: Sequence[str]) -> str:
    text = ", ".join(name for name in names if not name.startswith(_SIGNALS)) or "none"
    return text if len(text) <= _OFFER_SHOWN else text[:_OFFER_SHOWN] + " …"
