"""Files of allowed signers, in the form of `ALLOWED SIGNERS` in ssh-keygen(1). Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from device_agent.contract.trust_root import MOST_SIGNERS
from toolkit.errors import ToolkitError

#: Types of keys that ssh-keygen signs with. Source: ssh-keygen(1), PROTOCOL.sshsig.
_KEY_TYPES = (
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
)
#: Options that may stand before the key. Source: ssh-keygen(1).
_OPTIONS = ("cert-authority", "namespaces", "valid-after", "valid-before")

#: A word that may hold spaces between quotes, and what follows it.
_WORD = re.compile(r'((?:[^\s"]|"[^"]*")+)(?:\s+(.*))?\Z')
_MOST_BYTES = 1 << 20
_FORM = "Write a line `NAME KEY` for each signer, KEY as in the .pub file."


class SignersError(ToolkitError):
    """A file of allowed signers is not right."""


@dataclass(frozen=True)
class Signer:
    """A key that may sign."""

    line: str
    """Line of the file, without its comment."""
    principals: str
    """Names of the person, with commas between them; may hold patterns."""
    key_type: str
    fingerprint: str
    """`SHA256:…`, as `ssh-keygen -l` prints it."""


def read_signers(path: Path) -> tuple[Signer, ...]:
    """Read a file of allowed signers.

    Raises:
        SignersError: It cannot be read, a line has another form, a key stands twice, or it has no
            signer or too many.
    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise SignersError(f"{path}: cannot be read: {error.strerror or error}", _FORM) from error
    if len(content) > _MOST_BYTES:
        raise SignersError(
            f"{path}: has more than {_MOST_BYTES} bytes, expected a few lines", _FORM
        )
    signers: list[Signer] = []
    lines_of: dict[str, int] = {}
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        signer = _parse_line(line.strip(), f"{path}, line {number}")
        earlier = lines_of.setdefault(signer.fingerprint, number)
        if earlier != number:
            raise SignersError(
                f"{path}, line {number}: the key {signer.fingerprint} stands in line {earlier} "
                "already, so it would count twice",
                "Remove one of the lines.",
            )
        signers.append(signer)
    if not 1 <= len(signers) <= MOST_SIGNERS:
        raise SignersError(
            f"{path}: has {len(signers)} signers, expected 1 to {MOST_SIGNERS}", _FORM
        )
    return tuple(signers)


def parse_signers(lines: Sequence[str], where: str) -> tuple[Signer, ...]:
    """Read the signers of a trust root.

    Args:
        lines: Lines of a file of allowed signers.
        where: Name of the root, for messages.

    Raises:
        SignersError: A line has another form.
    """
    return tuple(_parse_line(line, where) for line in lines)


def _parse_line(line: str, where: str) -> Signer:
    if not line.isascii() or not line.isprintable():
        raise SignersError(f"{where}: has a character that is not printable ASCII", _FORM)
    principals, rest = _split(line)
    options = ""
    if rest.split(None, 1)[:1] and rest.split(None, 1)[0] not in _KEY_TYPES:
        options, rest = _split(rest)
    key_type, _, key = " ".join(rest.split()[:2]).partition(" ")
    if key_type not in _KEY_TYPES or not all(map(_is_option, _parts(options))):
        raise SignersError(
            f"{where}: expected `NAME [OPTIONS] TYPE KEY` with a type such as ssh-ed25519, found "
            f"{line[:100]!r}",
            _FORM,
        )
    blob = _blob(key)
    fields = _fields(blob)
    if len(fields) < 2 or fields[0] != key_type.encode():
        raise SignersError(
            f"{where}: the key of {principals[:60]!r} is damaged or cut off",
            "Copy the line of the .pub file again.",
        )
    digest = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    text = " ".join(filter(None, [principals, options, key_type, key]))
    return Signer(text, principals.strip('"'), key_type, f"SHA256:{digest}")


def _split(text: str) -> tuple[str, str]:
    """Return the first word, in which quotes may hold spaces, and the rest."""
    match = _WORD.match(text)
    return (match[1], match[2] or "") if match else (text, "")


def _parts(options: str) -> list[str]:
    """Divide options at the commas outside of quotes."""
    return re.findall(r'(?:[^,"]|"[^"]*")+', options)


def _is_option(text: str) -> bool:
    return text.partition("=")[0].lower() in _OPTIONS


def _blob(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _fields(blob: bytes) -> list[bytes]:
    """Return the fields of a public key (RFC 4253, 6.6); none where it is cut off."""
    fields = []
    while blob:
        size = int.from_bytes(blob[:4], "big")
        field, blob = blob[4 : 4 + size], blob[4 + size :]
        if len(field) != size:
            return []
        fields.append(field)
    return fields
