"""The private keys to log in with: of the SSH agent, and of files, with or without a passphrase."""

from __future__ import annotations

import base64
import binascii
import shlex
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm

from targets.ssh.config import expand_home
from targets.ssh.route import SshServer
from targets.ssh.secrets import MOST_TRIES, SECRETS, NobodyAnswersError, Question
from targets.transport import LoginRefusedError

#: Names of the keys that `ssh` tries when the user names none; the newest kind first.
_USUAL_FILES = ("id_ed25519", "id_ecdsa", "id_rsa")

_OPENSSH_FRAME = (b"-----BEGIN OPENSSH PRIVATE KEY-----", b"-----END OPENSSH PRIVATE KEY-----")
_OPENSSH_MAGIC = b"openssh-key-v1\0"
_HINT = "Name the private key of a pair whose public half is on the board."


#: Beginning of a file in a format that kedge does not read, to its name and the command by which a
#: user converts it. paramiko misreads some ECDSA keys in OpenSSH's own format that have no comment;
#: keys in PKCS#8 have none, so they become PEM.
_FORMATS = {
    b"-----BEGIN PRIVATE KEY-----": ("PKCS#8", "ssh-keygen -p -f {path} -m PEM"),
    b"-----BEGIN ENCRYPTED PRIVATE KEY-----": ("PKCS#8", "ssh-keygen -p -f {path} -m PEM"),
    b"PuTTY-User-Key-File-": ("PuTTY", "puttygen {path} -O private-openssh -o {path}.openssh"),
    b"---- BEGIN SSH2 ENCRYPTED PRIVATE KEY": ("SSH.COM", "ssh-keygen -i -f {path}"),
}


class _FidoFileError(LoginRefusedError):
    """The file names a key on a security key: another way to log in is tried."""


class _KeyLockedError(Exception):
    """The key has a passphrase."""


@dataclass(frozen=True)
class SkippedKey:
    """A key that was not tried."""

    path: Path
    why: str
    hint: str = ""
    """Next step for the user; empty where the key itself needs none."""


def keys_for(
    server: SshServer, skipped_keys: list[SkippedKey]
) -> Generator[tuple[str, paramiko.PKey], None, None]:
    """Give the keys to try on a server, each with its name, those that cost no question first.

    FIDO keys come last, and only from the SSH agent: each wants a touch, and a server hangs up when
    one of them cannot sign.

    Args:
        server: Server to log in to.
        skipped_keys: List to which the keys that were not tried are added.

    Raises:
        LoginRefusedError: The key that kedge.toml names is no private key, or cannot be read; the
            user corrects kedge.toml or the file.
    """
    agent = _agent()
    agent_keys = {key.asbytes(): key for key in agent.get_keys()} if agent else {}
    try:
        yield from _fido_last(_in_order(server, agent_keys, skipped_keys))
    finally:
        if agent is not None:
            agent.close()


def _in_order(
    server: SshServer, agent_keys: dict[bytes, Any], skipped_keys: list[SkippedKey]
) -> Iterator[tuple[str, paramiko.PKey]]:
    locked_files: list[Path] = []
    for path in server.identities or _usual_files():
        key: paramiko.PKey | None = agent_keys.pop(_public_half(path), None)
        try:
            key = key or _read(path)
        except _KeyLockedError:
            locked_files.append(path)
        except LoginRefusedError as error:
            if server.identity_is_pinned and not isinstance(error, _FidoFileError):
                raise
            hint = "" if error.hint == _HINT else error.hint
            skipped_keys.append(SkippedKey(path, str(error), hint))
        if key is not None:
            yield str(path), key
    if not server.identities_only:
        for key in agent_keys.values():
            yield f"{key.comment or key.get_name()} of the SSH agent", key
    for path in locked_files:
        key = _unlock(path, skipped_keys)
        if key is not None:
            yield str(path), key


def _fido_last(
    keys: Iterator[tuple[str, paramiko.PKey]],
) -> Iterator[tuple[str, paramiko.PKey]]:
    fido_keys = []
    for name, key in keys:
        if _is_fido(key.get_name()):
            fido_keys.append((name, key))
        else:
            yield name, key
    yield from fido_keys


def _is_fido(kind: str) -> bool:
    """Tell whether keys of a type are on a security key (source: PROTOCOL.u2f of OpenSSH)."""
    return kind.startswith("sk-")


def _agent() -> Any:
    try:
        return paramiko.Agent()
    except (paramiko.SSHException, OSError):  # what listens there is no agent
        return None


def _usual_files() -> list[Path]:
    try:
        folder = Path.home() / ".ssh"
    except RuntimeError:
        return []
    return [folder / name for name in _USUAL_FILES if (folder / name).is_file()]


def _read(path: Path, passphrase: bytes | None = None) -> paramiko.PKey:
    _refuse_format(path)
    kind = _kind_of(path)
    if _is_fido(kind):
        raise _FidoFileError(
            f"the identity {path} is a FIDO key ({kind}), which kedge uses through an SSH agent "
            "only",
            f"Load the key into an SSH agent first: ssh-add {path}; or name another key.",
        )
    try:
        return _load(path, passphrase)
    except (OSError, RuntimeError) as error:  # RuntimeError: `~` of a user without a home
        reason = getattr(error, "strerror", None) or str(error)
        raise LoginRefusedError(f"cannot read the identity {path}: {reason}", _HINT) from error
    except (paramiko.PasswordRequiredException, TypeError) as error:
        # TypeError: what the cryptography library raises for an encrypted key without password
        raise _KeyLockedError from error
    except (ValueError, paramiko.SSHException, paramiko.UnknownKeyType) as error:
        raise LoginRefusedError(f"the identity {path} is not a private key", _HINT) from error
    except UnsupportedAlgorithm as error:
        raise LoginRefusedError(
            f"the identity {path} is of a kind that kedge does not read: {error}",
            f"Write it anew in the usual form: ssh-keygen -p -f {path}; or name another key.",
        ) from error


def _refuse_format(path: Path) -> None:
    """Name a format that is converted first, before anybody is asked for its passphrase."""
    try:
        text = expand_home(path).read_bytes().lstrip()
    except OSError:  # said where the key is loaded
        return
    for beginning, (name, command) in _FORMATS.items():
        if text.startswith(beginning):
            raise LoginRefusedError(
                f"the identity {path} is in the format of {name}; kedge reads those of OpenSSH and "
                "PEM",
                f"Convert it: {command.format(path=shlex.quote(str(path)))}",
            )


def _load(path: Path, passphrase: bytes | None) -> paramiko.PKey:
    return paramiko.PKey.from_path(expand_home(path), passphrase)


def _unlock(path: Path, skipped_keys: list[SkippedKey]) -> paramiko.PKey | None:
    """Ask for the passphrase of a key; an empty answer passes the key over."""
    question = Question(f"Passphrase of {path}")
    with SECRETS.one_at_a_time:
        for _ in range(MOST_TRIES):
            try:
                passphrase = SECRETS.answer(question)
            except NobodyAnswersError:
                why = f"the identity {path} has a passphrase, and nobody can type it"
                hint = f"Load the key into an SSH agent first: ssh-add {path}"
                skipped_keys.append(SkippedKey(path, why, hint))
                return None
            if not passphrase:
                break
            try:
                key = _load(path, passphrase.encode())
            except (OSError, ValueError, TypeError, paramiko.SSHException):
                SECRETS.forget(question)
                continue
            SECRETS.keep(question, passphrase)
            return key
    skipped_keys.append(SkippedKey(path, f"the passphrase of the identity {path} was not given"))
    return None


def _public_half(path: Path) -> bytes:
    """Return the public key of a private one without unlocking it; empty if unknown."""
    for read in (_from_pub_file, _from_openssh_file):
        try:
            return read(expand_home(path))
        except (OSError, ValueError, IndexError, binascii.Error, paramiko.SSHException):
            continue
    return b""


def _kind_of(path: Path) -> str:
    """Return the type of the key in a file of OpenSSH's own format; empty for other files."""
    try:
        return str(paramiko.Message(_from_openssh_file(expand_home(path))).get_text())
    except (OSError, ValueError, IndexError, binascii.Error, paramiko.SSHException):
        return ""


def _from_pub_file(path: Path) -> bytes:
    return base64.b64decode(path.with_name(path.name + ".pub").read_bytes().split()[1])


def _from_openssh_file(path: Path) -> bytes:
    """Read the part of OpenSSH's own format that is never encrypted.

    Source: PROTOCOL.key of OpenSSH: magic, cipher, kdf, its options, the number of keys, the key.
    """
    begin, end = _OPENSSH_FRAME
    body = path.read_bytes().split(begin)[1].split(end)[0]
    data = base64.b64decode(body)
    if not data.startswith(_OPENSSH_MAGIC):
        raise ValueError("another format")
    message = paramiko.Message(data[len(_OPENSSH_MAGIC) :])
    for _ in ("cipher", "kdf", "options"):
        message.get_binary()
    message.get_int()
    return bytes(message.get_binary())
