"""Signatures by `ssh-keygen -Y`: people sign with the keys that they have.

A key is a file, a security key, or the public half of a key that the SSH agent holds. This is the
only file of the host that runs ssh-keygen for signatures.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from device_agent.contract.codes import IntegrityError
from toolkit.errors import ToolkitError

#: Largest signature; one by an RSA key of 16,384 bits has 6 KiB.
MOST_SIGNATURE_BYTES = 16 << 10

#: Seconds that a person has to type a passphrase or to touch a security key.
_SIGN_TIMEOUT_S = 300.0
_CHECK_TIMEOUT_S = 30.0

#: Source: release notes of OpenSSH 8.1 (`sign`, `verify`) and 8.2 (`find-principals`).
_NEEDS = "Signatures need ssh-keygen of OpenSSH 8.2 or newer on this computer."
_TOO_OLD = (b"option -- Y", b"option: -Y", b"Unsupported operation for -Y")
_GOOD = re.compile(r'Good "[^"]*" signature (?:for .* )?with (\S+) key (SHA256:\S+)\s*\Z')
_BEGIN = b"-----BEGIN SSH SIGNATURE-----"


class SigningError(ToolkitError):
    """Nothing was signed or checked: ssh-keygen or the key does not fit."""


@dataclass(frozen=True)
class Signature:
    """A signature that fits the bytes that were signed."""

    fingerprint: str
    """Fingerprint of the key, such as `SHA256:W0N/…`; of a certificate that of its key."""
    key_type: str
    """Type of the key as ssh-keygen names it, such as `ED25519` or `ED25519-SK`."""


def sign(text: bytes, key: Path, namespace: str) -> bytes:
    """Sign bytes.

    Args:
        text: Bytes to sign.
        key: Private key, or public key whose private half the SSH agent holds.
        namespace: Purpose of the signature: `RELEASE_NAMESPACE`, `ORDER_NAMESPACE` or
            `ROOT_NAMESPACE` of `device_agent.contract`.

    Returns:
        Signature in the armored form of SSHSIG.

    Raises:
        SigningError: There is no fitting ssh-keygen, or the key cannot sign; nothing was signed.
    """
    require_key_file(key)
    arguments = ["-Y", "sign", "-f", str(key.absolute()), "-n", namespace]
    result = _run(arguments, text, _SIGN_TIMEOUT_S)
    if result.returncode or not result.stdout.startswith(_BEGIN):
        raise _sign_error(key, result.stderr.decode("utf-8", "replace"))
    check_signature(text, result.stdout, namespace)
    return result.stdout


def require_key_file(key: Path) -> None:
    """Refuse a key that is not there, before any work is done that ends with a signature.

    Raises:
        SigningError: There is no such file.
    """
    if not key.is_file():
        raise SigningError(
            f"{key}: not found, expected a key of ssh-keygen",
            "Make one with `ssh-keygen -t ed25519 -f FILE`, or name the .pub of an agent's key.",
        )


def needs_touch(key: Path) -> bool:
    """Whether a person must touch a security key before it signs.

    Args:
        key: Private or public key; the public half is read, beside a private one.
    """
    public = key if key.suffix == ".pub" else key.with_name(key.name + ".pub")
    try:
        with public.open("rb") as file:
            return file.read(100).startswith(b"sk-")
    except OSError:
        return False


def check_signature(text: bytes, signature: bytes, namespace: str) -> Signature:
    """Check that a signature fits bytes; whether its key is trusted is another question.

    Args:
        text: Bytes that were signed.
        signature: Signature in the armored form of SSHSIG.
        namespace: Purpose that the signature must state.

    Raises:
        IntegrityError: It does not fit: the bytes or the signature were changed, or it was made for
            another purpose.
        SigningError: There is no fitting ssh-keygen.
    """
    with _signature_file(signature) as path:
        arguments = ["-Y", "check-novalidate", "-n", namespace, "-s", path]
        result = _run(arguments, text, _CHECK_TIMEOUT_S)
    match = _GOOD.search(result.stdout.decode("utf-8", "replace"))
    if result.returncode or match is None:
        words = _last_line(result.stderr, ("Could not verify signature.",))
        raise IntegrityError(
            f"a signature does not fit what it signs ({namespace}): {words}",
            "Get the file again from those who signed it.",
        )
    return Signature(match[2], match[1])


def find_signer(text: bytes, signature: bytes, namespace: str, signers: Path) -> str | None:
    """Return the name under which a file of allowed signers lists the key of a signature.

    Args:
        text: Bytes that were signed.
        signature: Signature that `check_signature` accepted.
        namespace: Purpose that the signature must state.
        signers: File that `toolkit.bundle.signers_file.read_signers` accepts.

    Returns:
        First principal for which the signature is valid now; `None` where there is none.

    Raises:
        SigningError: There is no fitting ssh-keygen.
    """
    file = str(signers.absolute())
    with _signature_file(signature) as path:
        arguments = ["-Y", "find-principals", "-s", path, "-f", file]
        result = _run(arguments, text, _CHECK_TIMEOUT_S)
        for name in result.stdout.decode("utf-8", "replace").splitlines():
            arguments = ["-Y", "verify", "-f", file, "-I", name, "-n", namespace, "-s", path]
            if _run(arguments, text, _CHECK_TIMEOUT_S).returncode == 0:
                return name
    return None


@contextmanager
def _signature_file(signature: bytes) -> Iterator[str]:
    """Path of a temporary file, because ssh-keygen reads a signature from a file only."""
    if len(signature) > MOST_SIGNATURE_BYTES:
        raise IntegrityError(
            f"a signature has {len(signature)} bytes, expected at most {MOST_SIGNATURE_BYTES}"
        )
    with tempfile.TemporaryDirectory(prefix="kedge-") as folder:
        path = Path(folder) / "signature"
        path.write_bytes(signature)
        yield str(path)


def _run(arguments: list[str], text: bytes, timeout_s: float) -> subprocess.CompletedProcess[bytes]:
    program = shutil.which("ssh-keygen")
    if program is None:
        raise SigningError("there is no ssh-keygen on this computer", _NEEDS)
    try:
        result = subprocess.run(
            [program, *arguments],
            input=text,
            capture_output=True,
            timeout=timeout_s,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired as error:
        raise SigningError(
            f"ssh-keygen gave no answer within {timeout_s:.0f} s",
            "If it waits for a passphrase or for a touch of a security key, repeat the command.",
        ) from error
    except OSError as error:
        raise SigningError(f"{program} cannot be started: {error.strerror}", _NEEDS) from error
    if any(words in result.stderr for words in _TOO_OLD):
        raise SigningError(f"{program} is too old: it knows no -Y {arguments[1]}", _NEEDS)
    return result


def _sign_error(key: Path, words: str) -> SigningError:
    for sign_of, message, hint in _REFUSALS:
        if sign_of in words:
            return SigningError(f"{key}: {message}", hint.format(key=key))
    words = _last_line(words.encode(), ())
    return SigningError(f"{key}: ssh-keygen cannot sign with it: {words}", "Name another key.")


#: Words of ssh-keygen, what they mean, and the next step.
_REFUSALS = (
    (
        "incorrect passphrase",
        "the passphrase is wrong, or nobody could be asked for it",
        "Add the key to the SSH agent first: ssh-add {key}",
    ),
    (
        "are too open",
        "others than you may read it, so ssh-keygen does not use it",
        "Take their rights away: chmod 600 {key}",
    ),
    (
        "No private key found",
        "it is a public key, and neither the SSH agent nor a file beside it has its private half",
        "Name the private key, or add it to the SSH agent: ssh-add",
    ),
    (
        "load public key",
        "is no key of ssh-keygen",
        "Name a private key, or the .pub of a key that the SSH agent holds.",
    ),
    (
        "device not found",
        "its security key is not plugged in",
        "Plug in the security key, and repeat the command.",
    ),
    (
        "agent refused",
        "the SSH agent refused to sign with it",
        "Touch or unlock the key when the agent asks for it, and repeat the command.",
    ),
)


def _last_line(output: bytes, without: tuple[str, ...]) -> str:
    lines = output.decode("utf-8", "replace").splitlines()
    words = [line.strip() for line in lines if line.strip() and line.strip() not in without]
    return words[-1][:200] if words else "ssh-keygen gives no reason"
