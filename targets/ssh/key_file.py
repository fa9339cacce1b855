"""Files of private keys: OpenSSH's own format, PEM and PKCS#8, with or without a passphrase.

The cryptography library reads them all. paramiko gets what it read in the form that paramiko reads
best: it takes the padding of some ECDSA keys of OpenSSH's format for a part of the key.
"""

from __future__ import annotations

import base64
import binascii
import errno
import io
import shlex
from pathlib import Path
from typing import Any

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_ssh_private_key,
)

from targets.ssh.config_words import expand_home
from targets.ssh.secrets import SECRETS
from targets.transport import LoginRefusedError

_OPENSSH_FRAME = (b"-----BEGIN OPENSSH PRIVATE KEY-----", b"-----END OPENSSH PRIVATE KEY-----")
_OPENSSH_MAGIC = b"openssh-key-v1\0"

#: Next step where a file is no private key; a user may have named the wrong one.
WRONG_FILE_HINT = "Name the private key of a pair whose public half is on the board."

#: Beginning of a file in a format that kedge does not read, to its name and the command by which a
#: user converts it.
_FORMATS = {
    b"PuTTY-User-Key-File-": ("PuTTY", "puttygen {path} -O private-openssh -o {path}.openssh"),
    b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY": ("SSH.COM", "ssh-keygen -i -f {path}"),
}

_CERTIFICATE = "-cert.pub"

#: Names of the curves that SSH has. Source: RFC 5656, 10.1; the other curves there are hardly used.
_CURVES = ("secp256r1", "secp384r1", "secp521r1")

#: A larger file is no key, and is not read.
_MOST_BYTES = 1 << 20


#: Beginning that some editors of Windows write before a text.
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class FidoFileError(LoginRefusedError):
    """The file names a key on a security key: another way to log in is tried."""


class KeyLockedError(Exception):
    """The key has a passphrase."""


class _NotForSshError(Exception):
    """The key is of a type, or on a curve, for which SSH has no name."""


def read_key(path: Path) -> paramiko.PKey:
    """Read a private key without a passphrase.

    Raises:
        KeyLockedError: It has a passphrase; see `unlock_key`.
        FidoFileError: It is on a security key; the SSH agent may have it.
        LoginRefusedError: The file cannot be read, or is no private key; the user names another.
    """
    try:
        data = _content(path)
        _refuse_format(path, data)
        return _load(path, data, None)
    except OSError as error:
        raise LoginRefusedError(
            f"cannot read the identity {path}: {error.strerror or error}", WRONG_FILE_HINT
        ) from error
    except TypeError as error:  # what the cryptography library raises without a passphrase
        raise KeyLockedError from error
    except (ValueError, paramiko.SSHException) as error:
        raise LoginRefusedError(
            f"the identity {path} is not a private key", WRONG_FILE_HINT
        ) from error
    except _NotForSshError as error:
        raise LoginRefusedError(
            f"the identity {path} is a key of {error}, which no SSH server of today takes",
            "Make a new key (ssh-keygen -t ed25519), put its public half on the board, and name "
            "the new key.",
        ) from error
    except UnsupportedAlgorithm as error:
        raise LoginRefusedError(
            f"the identity {path} is of a kind that kedge does not read: {error}",
            f"Write it anew in the usual form: ssh-keygen -p -f {path}; or name another key.",
        ) from error


def unlock_key(path: Path, passphrase: bytes) -> paramiko.PKey | None:
    """Read a private key with a passphrase; `None` where the passphrase is wrong."""
    try:
        return _load(path, _content(path), passphrase)
    except (
        OSError,
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        _NotForSshError,
        paramiko.SSHException,
    ):
        return None


def public_half(path: Path) -> bytes:
    """Return the public key of a private one without unlocking it; empty if unknown."""
    for read in (_from_pub_file, _from_openssh_file, _from_public_text):
        try:
            return read(expand_home(path))
        except (OSError, ValueError, IndexError, binascii.Error, paramiko.SSHException):
            continue
    return b""


def is_fido(kind: str) -> bool:
    """Tell whether keys of a type are on a security key (source: PROTOCOL.u2f of OpenSSH)."""
    return kind.startswith("sk-")


def _content(path: Path) -> bytes:
    return _read_regular(expand_home(_without_certificate(path)))


def _read_regular(path: Path) -> bytes:
    if path.exists() and not (path.is_file() or path.is_dir()):  # a pipe would be waited for
        raise OSError(errno.EINVAL, "it is no regular file")
    with path.open("rb") as file:
        return file.read(_MOST_BYTES)


def _without_certificate(path: Path) -> Path:
    name = path.name
    return path.with_name(name.removesuffix(_CERTIFICATE)) if name != _CERTIFICATE else path


def _refuse_format(path: Path, data: bytes) -> None:
    """Name a format that is converted first, before anybody is asked for its passphrase."""
    for beginning, (name, command) in _FORMATS.items():
        if data.removeprefix(_BYTE_ORDER_MARK).lstrip().startswith(beginning):
            raise LoginRefusedError(
                f"the identity {path} is in the format of {name}; kedge reads those of OpenSSH, "
                "PEM and PKCS#8",
                f"Convert it: {command.format(path=shlex.quote(str(path)))}",
            )
    kind = _kind_of(path)
    if is_fido(kind):
        raise FidoFileError(
            f"the identity {path} is a FIDO key ({kind}), which kedge uses through an SSH agent "
            "only",
            f"Load the key into an SSH agent first: ssh-add {path}; or name another key.",
        )


def _load(path: Path, data: bytes, passphrase: bytes | None) -> paramiko.PKey:
    try:
        loaded: Any = load_ssh_private_key(data, passphrase)
    except ValueError:
        loaded = load_pem_private_key(data, passphrase)
    form = PrivateFormat.TraditionalOpenSSL
    if isinstance(loaded, RSAPrivateKey):
        kind = paramiko.RSAKey
    elif isinstance(loaded, EllipticCurvePrivateKey):
        if not loaded.curve.name.startswith(_CURVES):
            raise _NotForSshError(f"the curve {loaded.curve.name}")
        kind = paramiko.ECDSAKey
    elif isinstance(loaded, Ed25519PrivateKey):
        kind, form = paramiko.Ed25519Key, PrivateFormat.OpenSSH
    else:
        raise _NotForSshError(f"the type {type(loaded).__name__.removesuffix('PrivateKey')}")
    text = loaded.private_bytes(Encoding.PEM, form, NoEncryption()).decode()
    key = kind.from_private_key(io.StringIO(text))
    _add_certificate(path, key)
    return key


def _add_certificate(path: Path, key: paramiko.PKey) -> None:
    """Give a key the certificate that lies beside its file; without it where it is none, as ssh."""
    certificate = expand_home(_without_certificate(path))
    certificate = certificate.with_name(certificate.name + _CERTIFICATE)
    if certificate.is_file():
        try:
            key.load_certificate(str(certificate))
        except (OSError, ValueError, IndexError, paramiko.SSHException):
            SECRETS.warn_once(f"{certificate} is no certificate; going on without it")


def _kind_of(path: Path) -> str:
    """Return the type of the key in a file of OpenSSH's own format; empty for other files."""
    try:
        return str(paramiko.Message(_from_openssh_file(expand_home(path))).get_text())
    except (OSError, ValueError, IndexError, binascii.Error, paramiko.SSHException):
        return ""


def _from_pub_file(path: Path) -> bytes:
    return _from_public_text(path.with_name(path.name + ".pub"))


def _from_public_text(path: Path) -> bytes:
    """Read a public key, which a user may name in place of a private one that the agent holds."""
    return base64.b64decode(_read_regular(path).split()[1], validate=True)


def _from_openssh_file(path: Path) -> bytes:
    """Read the part of OpenSSH's own format that is never encrypted.

    Source: PROTOCOL.key of OpenSSH: magic, cipher, kdf, its options, the number of keys, the key.
    """
    begin, end = _OPENSSH_FRAME
    body = _read_regular(path).split(begin)[1].split(end)[0]
    data = base64.b64decode(body)
    if not data.startswith(_OPENSSH_MAGIC):
        raise ValueError("another format")
    message = paramiko.Message(data[len(_OPENSSH_MAGIC) :])
    for _ in ("cipher", "kdf", "options"):
        message.get_binary()
    message.get_int()
    return bytes(message.get_binary())
