"""Checks SSH signatures with the board's own OpenSSH; kedge has no cryptography of its own.

What is read of a signature is whose key it names and for which purpose it was made. Whether it is
genuine, `ssh-keygen -Y` decides, which OpenSSH has from version 8.1 on. It gets its files through
pipes, so that nothing is written to the board.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hashlib
import os
import re
import struct
import subprocess
import time
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Set, Tuple

from device_agent.contract.codes import DIGEST_MISMATCH, NO_VERIFIER, UNTRUSTED, RefusalError
from device_agent.contract.trust_root import MOST_SIGNERS

#: Largest signature that is looked at; one by a certificate of RSA has 6 KB.
MOST_SIGNATURE_BYTES = 16384

#: Longest line of a signer: the pipe that carries it takes no more before somebody reads.
_MOST_LINE_BYTES = 16384

#: A check takes some milliseconds, also on a slow board.
_TIMEOUT_S = 20.0

_PLACES = ("/usr/bin", "/usr/local/bin", "/bin", "/opt/bin")
_OLDEST = "OpenSSH 8.1"
_VERSION = re.compile(rb"\bOpenSSH_([0-9]{1,3}\.[0-9]{1,3}p[0-9]{1,3})")
_BEGIN, _END = "-----BEGIN SSH SIGNATURE-----", "-----END SSH SIGNATURE-----"
_KEY_KIND = re.compile(r"(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+\Z")
#: Fields of a line of an allowed_signers file; a space within quotes belongs to its field.
_FIELD = re.compile(r'(?:"[^"]*"|[^\s"])+')

_CLOCK_HINT = (
    "Compare `date` on the board: set its clock where it is wrong (a board without a battery needs "
    "NTP); where it is right, sign with a key that is valid now."
)

#: Name by which the check calls the signer; the line's own name may be a pattern.
_PRINCIPAL = "signer"


class Verifier(NamedTuple):
    """The program that checks signatures on this board."""

    path: str
    """Path of `ssh-keygen`; empty where none checks signatures."""
    version: str
    """Version such as `OpenSSH 9.2p1`; `OpenSSH` where it is not known; empty for none."""
    absence: str
    """Reason why there is none; empty where there is one."""


class TrustedSigner(NamedTuple):
    """A line of an allowed_signers file."""

    name: str
    """Principals, as the line says them."""
    options: str
    """Options between the principals and the key; empty for none."""
    key_kind: str
    """Kind of the key, such as `ssh-ed25519`."""
    key: bytes
    """Public key, decoded."""


class _Signature(NamedTuple):
    key: bytes
    namespace: str


def find_verifier(search_path: Optional[str] = None) -> Verifier:
    """Find the program that checks signatures, without starting it.

    Args:
        search_path: Folders with `:` between them, before the usual ones; `None` for `PATH`.
    """
    folders = (os.environ.get("PATH", "") if search_path is None else search_path).split(":")
    for folder in [*folders, *_PLACES]:
        path = os.path.join(folder, "ssh-keygen")
        if not folder.startswith("/") or not os.access(path, os.X_OK) or os.path.isdir(path):
            continue
        version = _version_beside(path)
        if b"check-novalidate" in _content(path):
            return Verifier(path, version, "")
        absence = "{} ({}) checks no signatures, expected {} or newer"
        return Verifier("", "", absence.format(path, version, _OLDEST))
    return Verifier("", "", "the board has no ssh-keygen, expected {} or newer".format(_OLDEST))


def read_trusted_signers(lines: Sequence[str]) -> List[TrustedSigner]:
    """Read the signers of a trust root.

    Raises:
        ValueError: A line names no key, or may not be read by `ssh-keygen`.
    """
    return [_read_signer(line) for line in lines]


def require_signatures(
    what: str,
    text: bytes,
    signatures: Sequence[str],
    namespace: str,
    signers: Sequence[str],
    threshold: int,
) -> None:
    """Refuse a text unless enough different trusted keys have signed it.

    Integrity comes before trust: a signature that does not fit is refused whoever made it.

    Args:
        what: Name of the text for messages, such as `the order`.
        text: Bytes that were signed.
        signatures: SSH signatures in their armored form.
        namespace: Purpose for which they must have been made.
        signers: Lines of an allowed_signers file.
        threshold: Number of different keys of `signers` that must have signed.

    Raises:
        RefusalError: A signature does not fit the text, too few of the signers have signed, or the
            board has no program that checks signatures.
    """
    verifier = find_verifier()
    if not verifier.path:
        hint = "Install OpenSSH's client on the board (Debian: `apt-get install openssh-client`)."
        raise RefusalError(NO_VERIFIER, verifier.absence, hint)
    by_key = _by_key(read_trusted_signers(signers))
    trusted: Set[bytes] = set()
    strangers, hint = [], "Sign with more of the keys that the trust root of the board lists."
    for number, armored in enumerate(signatures[:MOST_SIGNERS], 1):
        signature = _parse_signature(armored, number)
        if any(
            _is_verified(verifier.path, text, armored, namespace, signer)
            for signer in by_key.get(signature.key, ())
        ):
            trusted.add(signature.key)
        elif signature.namespace != namespace:
            message = "signature {} was made for {!r}, expected {!r}"
            strangers.append(message.format(number, signature.namespace[:40], namespace))
        elif not _fits(verifier.path, text, armored, namespace):
            raise _damaged(number, "it does not fit the bytes that it came with")
        elif signature.key in by_key:
            limits = [one.options for one in by_key[signature.key] if "valid-" in one.options]
            strangers.append(_not_now(signature, limits))
            hint = _CLOCK_HINT if limits else hint
        else:
            strangers.append("{} is not among the signers".format(_print(signature)))
    if len(trusted) < threshold:
        message = "{}: {} of {} needed keys have signed".format(what, len(trusted), threshold)
        raise RefusalError(UNTRUSTED, "; ".join([message, *strangers[:10]]), hint)


def _not_now(signature: _Signature, limits: List[str]) -> str:
    """Say that a signer may not sign now; with the board's clock where a time is the limit."""
    text = "the trust root does not let {} sign now".format(_print(signature))
    if not limits:
        return text
    clock = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
    return "{}: {}, and the clock of the board says {} UTC".format(text, limits[0][:100], clock)


def _by_key(signers: Iterable[TrustedSigner]) -> Dict[bytes, List[TrustedSigner]]:
    by_key: Dict[bytes, List[TrustedSigner]] = {}
    for signer in signers:
        by_key.setdefault(signer.key, []).append(signer)
    return by_key


def _read_signer(line: str) -> TrustedSigner:
    fields = _FIELD.findall(line)
    kinds = [place for place, field in enumerate(fields) if _KEY_KIND.match(field)]
    if len(line) > _MOST_LINE_BYTES or not kinds or kinds[0] not in (1, 2):
        message = "expected a line of an allowed_signers file (NAME KEY), found {!r}"
        raise ValueError(message.format(line[:80]))
    at = kinds[0]
    options = fields[1] if at == 2 else ""
    if "cert-authority" in options.lower():
        raise ValueError("{}: certificates are not taken, expected a key".format(fields[0][:80]))
    try:
        key = base64.b64decode(fields[at + 1].encode("ascii"), validate=True)
        kind = _strings(key, 1)[0].decode("ascii")
    except (IndexError, ValueError) as error:  # binascii.Error and UnicodeError are ValueErrors
        raise ValueError("{}: the key is damaged".format(fields[0][:80])) from error
    if kind != fields[at]:
        raise ValueError("{}: the key is of another kind than it says".format(fields[0][:80]))
    return TrustedSigner(fields[0], options, kind, key)


def _parse_signature(armored: str, number: int) -> _Signature:
    text = armored.strip()
    if len(armored) > MOST_SIGNATURE_BYTES:
        raise _damaged(number, "it has more than {} bytes".format(MOST_SIGNATURE_BYTES))
    if not text.startswith(_BEGIN) or not text.endswith(_END):
        raise _damaged(number, "it is not an armored SSH signature")
    try:
        blob = base64.b64decode("".join(text[len(_BEGIN) : -len(_END)].split()), validate=True)
        if not blob.startswith(b"SSHSIG\0\0\0\1"):
            raise ValueError("another format")
        key, namespace = _strings(blob[10:], 2)
        return _Signature(key, namespace.decode("utf-8", "replace"))
    except (ValueError, binascii.Error) as error:
        raise _damaged(number, "its content is not an SSH signature") from error


def _strings(blob: bytes, count: int) -> Tuple[bytes, ...]:
    """Return the first strings of an SSH message, each with its length before it."""
    strings, at = [], 0
    for _ in range(count):
        if at + 4 > len(blob):
            raise ValueError("too short")
        (size,) = struct.unpack(">I", blob[at : at + 4])
        if at + 4 + size > len(blob):
            raise ValueError("too short")
        strings.append(blob[at + 4 : at + 4 + size])
        at += 4 + size
    return tuple(strings)


def _damaged(number: int, reason: str) -> RefusalError:
    message = "signature {} is damaged: {}".format(number, reason)
    return RefusalError(DIGEST_MISMATCH, message, "Get the bundle again, or sign it again.")


def _print(signature: _Signature) -> str:
    digest = base64.b64encode(hashlib.sha256(signature.key).digest()).decode("ascii")
    return "SHA256:" + digest.rstrip("=")


def _is_verified(
    program: str, text: bytes, armored: str, namespace: str, signer: TrustedSigner
) -> bool:
    encoded = base64.b64encode(signer.key).decode("ascii")
    line = " ".join(filter(None, (_PRINCIPAL, signer.options, signer.key_kind, encoded)))
    return _run([program, "-Y", "verify", "-n", namespace, "-I", _PRINCIPAL], text, armored, line)


def _fits(program: str, text: bytes, armored: str, namespace: str) -> bool:
    return _run([program, "-Y", "check-novalidate", "-n", namespace], text, armored, "")


def _run(command: List[str], text: bytes, armored: str, line: str) -> bool:
    """Run one check; whatever else than success happens counts as a refusal."""
    with contextlib.ExitStack() as stack:
        pipes = [_pipe_with(armored.strip() + "\n", stack)]
        command = [*command, "-s", "/proc/self/fd/{}".format(pipes[0])]
        if line:
            pipes.append(_pipe_with(line + "\n", stack))
            command += ["-f", "/proc/self/fd/{}".format(pipes[1])]
        try:
            done = subprocess.run(
                command,
                input=text,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=pipes,
                timeout=_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
    return done.returncode == 0


def _pipe_with(text: str, stack: contextlib.ExitStack) -> int:
    """Return the reading end of a pipe that holds a text; a pipe takes 64 KiB unread."""
    reader, writer = os.pipe()
    stack.callback(os.close, reader)
    try:
        os.write(writer, text.encode("utf-8", "replace"))
    finally:
        os.close(writer)
    return reader


def _version_beside(path: str) -> str:
    """Return the version of OpenSSH, which `ssh` names and `ssh-keygen` does not."""
    for name in ("ssh", "../sbin/sshd"):
        match = _VERSION.search(_content(os.path.join(os.path.dirname(path), name)))
        if match:
            return "OpenSSH " + match.group(1).decode("ascii")
    return "OpenSSH"


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(16 << 20)
    except OSError:
        return b""
