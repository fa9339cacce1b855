"""The algorithms that kedge offers a server, and what the server offered where none fits."""

from __future__ import annotations

import re
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

#: Reason why a server takes no RSA key of kedge.
SHA1_ONLY = "it takes RSA keys with SHA-1 signatures only, which kedge does not make"

#: Types of host keys whose signatures are made with SHA-1.
_OLD_HOST_KEYS = {"ssh-rsa", "ssh-dss"}

#: Servers that do not know RSA signatures with SHA-2. Source: release notes of OpenSSH 7.2, CHANGES
#: of Dropbear 2020.79.
_OLD_SERVERS = (
    r"OpenSSH_([1-6]\.|7\.[01]\b)",
    r"dropbear_(0\.|201[0-9]|2020\.7[0-8])",
)


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


def has_old_host_keys_only(connection: Connection) -> bool:
    """Tell whether a server shows host keys only with signatures that nobody should trust now."""
    names = connection.offer.get("server_key_algo_list", [])
    plain_names = {name.partition("-cert-v01@")[0] for name in names}
    return bool(names) and plain_names <= _OLD_HOST_KEYS


def rsa_refusal(connection: Connection) -> str:
    """Say why a server takes no RSA key of kedge to log in; empty where it may take one."""
    names = connection.server_extensions.get("server-sig-algs", b"").decode("ascii", "replace")
    if "rsa-sha2-" in names:
        return ""
    if names and "ssh-rsa" not in names.split(","):
        return "it takes no RSA keys"
    version = str(connection.remote_version)
    if names or any(re.search(pattern, version) for pattern in _OLD_SERVERS):
        return SHA1_ONLY
    return ""


def _text_of(names: Sequence[str]) -> str:
    text = ", ".join(name for name in names if not name.startswith(_SIGNALS)) or "none"
    return text if len(text) <= _OFFER_SHOWN else text[:_OFFER_SHOWN] + " …"
