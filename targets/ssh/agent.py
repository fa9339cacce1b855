"""The SSH agent: the program that holds a user's keys and signs with them.

It may be locked, wait for a touch or for a window that nobody sees, or be a forwarded socket whose
other end is gone. A login then goes on without it.
"""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paramiko
from paramiko.agent import AgentSSH

from targets.ssh.config_words import expand_home
from targets.ssh.secrets import SECRETS

#: Longest wait for the list of keys, and for a signature, for which a person may have to act.
LIST_TIMEOUT_S = 10.0
SIGN_TIMEOUT_S = 60.0

#: Wait after which a person sees what the login waits for.
_SHOW_AFTER_S = 3.0

#: Size of a signature that no server takes. Source: RFC 8032, 5.1.6, for the size.
_NO_SIGNATURE = bytes(64)


class SshAgent(AgentSSH):  # type: ignore[misc]  # paramiko has no types
    """The keys of one agent, while a login goes on."""

    def __init__(self, path: str) -> None:
        """Ask for the keys.

        Args:
            path: Path of the agent's socket; empty for no agent.
        """
        super().__init__()
        self.keys: tuple[AgentSignedKey, ...] = ()
        """Keys of the agent, in its order."""
        self.failure = ""
        """Reason why its keys are not used; empty while they are."""
        self._path = path
        if not path or path in _HANGING:
            self.failure = _silence(path) if path else ""
            return
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(LIST_TIMEOUT_S)
        try:
            connection.connect(path)
            with _show_what_is_awaited("to name its keys"):
                self._connect(connection)
        except TimeoutError:
            self._give_up()
        except (paramiko.SSHException, OSError, ValueError, struct.error, TypeError):
            self._close()  # what listens there is no agent, or nothing does
            self.failure = f"no SSH agent answers at {path}"
        keys = (AgentSignedKey(self, key.blob, key.comment) for key in self._keys)
        self.keys = tuple(key for key in keys if key.get_name())
        if self._conn is None:
            connection.close()

    @property
    def can_sign(self) -> bool:
        """Whether the conversation goes on."""
        return self._conn is not None

    def close(self) -> None:
        """End the conversation; its keys sign no more."""
        self._close()

    def sign(self, key: AgentSignedKey, data: bytes, algorithm: str | None) -> bytes:
        """Let a key sign; a signature that is refused where the agent makes none."""
        signature: bytes = _refused_signature(algorithm or key.get_name())
        if self._conn is None:
            return signature
        self._conn.settimeout(SIGN_TIMEOUT_S)
        try:
            with _show_what_is_awaited("to sign; it may want a touch, a code or a click"):
                signature = paramiko.AgentKey.sign_ssh_data(key, data, algorithm)
        except TimeoutError:
            self._give_up()
        except (paramiko.SSHException, OSError, ValueError, struct.error, TypeError):
            # It refuses, or the security key is not there; another key may do.
            self.failure = f"the SSH agent did not sign with {key.comment or key.get_name()}"
        return signature

    def _give_up(self) -> None:
        """Use the agent no more in this process: it would be waited for again and again."""
        _HANGING.add(self._path)
        self.failure = _silence(self._path)
        SECRETS.warn_once(f"{self.failure}; going on without it")
        self._close()


class AgentSignedKey(paramiko.AgentKey):  # type: ignore[misc]  # paramiko has no types
    """A key of the agent that never breaks a login: where it cannot sign, the next key is tried."""

    @property
    def can_sign(self) -> bool:
        """Whether the agent still answers."""
        return bool(self.agent.can_sign)

    def sign_ssh_data(self, data: bytes, algorithm: str | None = None) -> bytes:
        """Sign, as paramiko asks for it."""
        signature: bytes = self.agent.sign(self, data, algorithm)
        return signature


def agent_path(setting: str | None) -> str:
    """Return the path of the agent's socket; empty for no agent.

    Args:
        setting: Value of IdentityAgent in ~/.ssh/config; `None` where it has none.
    """
    if setting is None or setting == "SSH_AUTH_SOCK":
        return os.environ.get("SSH_AUTH_SOCK", "")
    if setting.lower() == "none":
        return ""
    if setting.startswith("$"):
        return os.environ.get(setting.strip("${}"), "")
    return str(expand_home(Path(setting)))


def _silence(path: str) -> str:
    return f"the SSH agent at {path} does not answer"


def _refused_signature(algorithm: str) -> bytes:
    message = paramiko.Message()
    message.add_string(algorithm)
    message.add_string(_NO_SIGNATURE)
    data: bytes = message.asbytes()
    return data


@contextmanager
def _show_what_is_awaited(act: str) -> Iterator[None]:
    text = f"waiting for the SSH agent {act}"
    timer = threading.Timer(_SHOW_AFTER_S, SECRETS.warn_once, (text,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


_HANGING: set[str] = set()
"""Sockets of agents that did not answer this process."""
