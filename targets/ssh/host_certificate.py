"""Certificates by which an authority vouches for the host keys of servers (PROTOCOL.certkeys)."""

from __future__ import annotations

import base64
import time
from collections.abc import Collection

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    SSHCertificate,
    SSHCertificateType,
    load_ssh_public_identity,
)

from targets.ssh.known_hosts import fingerprint_of
from targets.transport import HostKeyError

#: Signatures that an authority with an RSA key may make; others use SHA-1.
_RSA_SIGNATURES = (b"rsa-sha2-256", b"rsa-sha2-512")

#: Errors of cryptography for bytes that are no certificate.
_DAMAGE = (ValueError, UnsupportedAlgorithm, IndexError, TypeError)

_CERTIFY = (
    "Let the authority certify the key of the server anew: ssh-keygen -s CA -h -n NAME KEY.pub"
)


def check_certificate(who: str, host: str, blob: bytes, authorities: Collection[str]) -> str:
    """Refuse a certificate that does not prove that a server is the one that was named.

    Args:
        who: Name of the server in messages.
        host: Name under which the server is reached, which the certificate must be for.
        blob: Certificate, as the server shows it; its key has signed the key exchange.
        authorities: Fingerprints of the trusted authorities.

    Returns:
        Fingerprint of the authority that signed it.

    Raises:
        HostKeyError: It is damaged, of another authority, for another host, or not valid now.
    """
    certificate, authority = _parse(who, blob)
    if authority not in authorities:
        raise HostKeyError(
            f"{who} shows a host certificate of the authority {authority}, expected "
            f"{' or '.join(sorted(authorities))}; this may be another machine",
            "If the authority has changed, correct host_ca in kedge.toml, or, for a jump host, the "
            "line @cert-authority of known_hosts.",
        )
    problem = _problem_of(certificate, host.lower())
    if problem:
        raise HostKeyError(f"the host certificate of {who} {problem}", _CERTIFY)
    return authority


def _parse(who: str, blob: bytes) -> tuple[SSHCertificate, str]:
    """Return a certificate and the fingerprint of its authority."""
    kind = blob[4 : 4 + int.from_bytes(blob[:4], "big")]
    try:
        certificate = load_ssh_public_identity(kind + b" " + base64.b64encode(blob))
        if not isinstance(certificate, SSHCertificate):
            raise HostKeyError(f"{who} shows a plain host key, expected a certificate", _CERTIFY)
        key = certificate.signature_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    except _DAMAGE as error:
        raise HostKeyError(
            f"the host certificate of {who} is damaged: {error}", _CERTIFY
        ) from error
    return certificate, fingerprint_of(base64.b64decode(key.split()[1]))


def _problem_of(certificate: SSHCertificate, host: str) -> str:
    """Say what is wrong with a certificate of a trusted authority; empty where all is well."""
    algorithm = bytes(getattr(certificate, "_inner_sig_type", b""))  # no public name for it
    if isinstance(certificate.signature_key(), RSAPublicKey) and algorithm not in _RSA_SIGNATURES:
        return "is signed with SHA-1, which kedge does not trust"
    try:
        certificate.verify_cert_signature()
    except (InvalidSignature, *_DAMAGE):
        return "was changed: its signature does not fit"
    if certificate.type is not SSHCertificateType.HOST:
        return "is one of a user, not of a host"
    names = [name.decode("utf-8", "replace").lower() for name in certificate.valid_principals]
    if host not in names:
        return f"is for {', '.join(names[:5]) or 'no host by name'}, not for {host}"
    now_s = time.time()
    if not certificate.valid_after <= now_s < certificate.valid_before:
        return "is not valid at this time, by the clock of this computer"
    if certificate.critical_options:
        return "has an option that kedge does not know"
    return ""
