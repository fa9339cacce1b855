"""The private keys to log in with: of the SSH agent, and of files, with or without a passphrase."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import paramiko

from targets.ssh.agent import AgentSignedKey, SshAgent, agent_path
from targets.ssh.key_file import (
    WRONG_FILE_HINT,
    FidoFileError,
    KeyLockedError,
    is_fido,
    public_half,
    read_key,
    unlock_key,
)
from targets.ssh.route import SshServer
from targets.ssh.secrets import MOST_TRIES, SECRETS, NobodyAnswersError, Question
from targets.transport import LoginRefusedError

#: Names of the keys that `ssh` tries when the user names none; the newest kind first.
_USUAL_FILES = ("id_ed25519", "id_ecdsa", "id_rsa")

#: Next step where the SSH agent gives no key, and no file has one.
_AGENT_HINT = (
    "Load your key into a running SSH agent (ssh-add -l shows its keys), or name its file: "
    "--identity KEY, or IdentityFile in ~/.ssh/config."
)


@dataclass(frozen=True)
class SkippedKey:
    """A key, or an agent with its keys, that was not tried or did not sign."""

    why: str
    hint: str = ""
    """Next step for the user; empty where the key itself needs none."""


def keys_for(
    server: SshServer, skipped_keys: list[SkippedKey]
) -> Generator[tuple[str, paramiko.PKey], None, None]:
    """Give the keys to try on a server, each with its name, those that cost no question first.

    FIDO keys come last, and only from the SSH agent: each wants a touch.

    Args:
        server: Server to log in to.
        skipped_keys: List to which the keys that were not tried are added.

    Raises:
        LoginRefusedError: The key that kedge.toml names is no private key, or cannot be read; the
            user corrects kedge.toml or the file.
    """
    path = agent_path(server.identity_agent)
    agent = SshAgent(path)
    agent_keys = {key.asbytes(): key for key in agent.keys}
    has_key = False
    try:
        for name, key in _fido_last(_in_order(server, agent_keys, skipped_keys)):
            has_key = True
            yield name, key
    finally:
        failure = agent.failure
        if path and not failure and not has_key and not agent.keys:
            failure = f"the SSH agent at {path} names no key; it has none, or is locked"
        if failure:
            skipped_keys.append(SkippedKey(failure, "" if has_key else _AGENT_HINT))
        agent.close()


def _in_order(
    server: SshServer, agent_keys: dict[bytes, AgentSignedKey], skipped_keys: list[SkippedKey]
) -> Iterator[tuple[str, paramiko.PKey]]:
    locked_files: list[tuple[Path, AgentSignedKey | None]] = []
    for path in server.identities or _usual_files():
        agent_key = agent_keys.pop(public_half(path), None)
        try:
            key = _of_file(path, server, agent_key, skipped_keys)
        except KeyLockedError:
            locked_files.append((path, agent_key))
            key = agent_key
        if key is not None:
            yield str(path), key
    if not server.identities_only:
        for agent_key in agent_keys.values():
            yield f"{agent_key.comment or agent_key.get_name()} of the SSH agent", agent_key
    for path, agent_key in locked_files:
        if agent_key is None or not agent_key.can_sign:
            key = _unlock(path, skipped_keys)
            if key is not None:
                yield str(path), key


def _of_file(
    path: Path,
    server: SshServer,
    agent_key: AgentSignedKey | None,
    skipped_keys: list[SkippedKey],
) -> paramiko.PKey | None:
    """Return the key of a file, or that of the agent where the file is only its public half.

    A file that kedge.toml does not name is passed over where it is no key.
    """
    try:
        return read_key(path)
    except LoginRefusedError as error:
        if agent_key is None:
            if server.identity_is_pinned and not isinstance(error, FidoFileError):
                raise
            hint = "" if error.hint == WRONG_FILE_HINT else error.hint
            skipped_keys.append(SkippedKey(str(error), hint))
    return agent_key


def _fido_last(
    keys: Iterator[tuple[str, paramiko.PKey]],
) -> Iterator[tuple[str, paramiko.PKey]]:
    fido_keys = []
    for name, key in keys:
        if is_fido(key.get_name()):
            fido_keys.append((name, key))
        elif _can_sign(key):
            yield name, key
    yield from ((name, key) for name, key in fido_keys if _can_sign(key))


def _can_sign(key: paramiko.PKey) -> bool:
    return not isinstance(key, AgentSignedKey) or key.can_sign


def _usual_files() -> list[Path]:
    try:
        folder = Path.home() / ".ssh"
    except RuntimeError:
        return []
    return [folder / name for name in _USUAL_FILES if (folder / name).is_file()]


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
                skipped_keys.append(SkippedKey(why, hint))
                return None
            if not passphrase:
                break
            key = unlock_key(path, passphrase.encode())
            if key is None:
                SECRETS.forget(question)
                continue
            SECRETS.keep(question, passphrase)
            return key
    skipped_keys.append(SkippedKey(f"the passphrase of the identity {path} was not given"))
    return None
