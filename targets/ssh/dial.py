"""Opens an SSH connection to one server: directly, through a jump host, or through a command."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import tempfile
from typing import IO, Any

import paramiko

from targets.ssh.host_keys import HostKey, algorithms_for, known_keys, no_such_key
from targets.ssh.login import LOGIN_TIMEOUT_S
from targets.ssh.route import Hop
from targets.transport import UnreachableError

#: Modern first; what paramiko no longer counts as safe is not offered.
_CIPHERS = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "aes128-ctr",
    "aes192-ctr",
    "aes256-ctr",
)
_DIGESTS = (
    "hmac-sha2-256-etm@openssh.com",
    "hmac-sha2-512-etm@openssh.com",
    "hmac-sha2-256",
    "hmac-sha2-512",
)

#: RFC 4254, 5.1: the server does not open such channels at all.
_PROHIBITED = 1

_LAST_WORDS_BYTES = 500
_IS_IT_ON = "Is the board on, in this network, and is its SSH server running?"

# Failures reach the user as our errors; paramiko's log of the same would only repeat them.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Session:
    """An SSH connection to one server, before and after the login."""

    def __init__(self, hop: Hop, before: Session | None, key_type: str | None = None) -> None:
        """Connect and agree on keys; nobody is logged in yet, nor is the host key checked.

        Args:
            hop: The server.
            before: The logged-in connection to the jump host before it.
            key_type: The type of host key to ask for; without it, the known ones.

        Raises:
            UnreachableError: Nothing that speaks SSH answers there.
            HostKeyError: It has no host key of the known types.
        """
        self.hop = hop
        self._command: _Command | None = None
        self._sock: Any = self._dial(before)
        try:
            wanted = (HostKey(key_type, ""),) if key_type else known_keys(hop)
            self.transport = make_transport(self._sock, algorithms_for(wanted))
            self.transport.start_client(timeout=LOGIN_TIMEOUT_S)
            key = self.transport.get_remote_server_key()
            self.host_key = HostKey(key.get_name(), key.fingerprint)
        except BaseException as error:
            told = self._translated(error, key_type)
            self.close()
            raise told from error

    def close(self) -> None:
        """End it, and the command that it runs through; safe to call twice."""
        if transport := getattr(self, "transport", None):
            transport.close()
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._sock.close()
        if self._command is not None:
            self._command.close()

    def _dial(self, before: Session | None) -> Any:
        if before is not None:
            return self._dial_through(before)
        if self.hop.proxy_command:
            self._command = _Command(self.hop.proxy_command)
            return self._command.sock
        try:
            place = (self.hop.host, self.hop.port)
            return socket.create_connection(place, self.hop.connect_timeout_s)
        except (OSError, UnicodeError) as error:  # UnicodeError: no name for a resolver
            reason = getattr(error, "strerror", None) or str(error)
            if isinstance(error, TimeoutError):
                reason = "no answer"
            raise UnreachableError(
                f"cannot connect to {self._who()}: {reason}", self._hint(_IS_IT_ON)
            ) from error

    def _dial_through(self, before: Session) -> Any:
        try:
            return before.transport.open_channel(
                "direct-tcpip",
                (self.hop.host, self.hop.port),
                ("127.0.0.1", 0),
                timeout=max(LOGIN_TIMEOUT_S, self.hop.connect_timeout_s),
            )
        except paramiko.ChannelException as error:
            if error.code == _PROHIBITED:
                raise UnreachableError(
                    f"{before.hop.name} does not forward connections to {self.hop.place}",
                    "Its SSH server must allow it: AllowTcpForwarding in sshd_config, or no -j for "
                    "Dropbear.",
                ) from error
            raise UnreachableError(
                f"{before.hop.name} cannot connect to {self._who()}: {error.text or error}",
                self._hint(_IS_IT_ON),
            ) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise UnreachableError(
                f"the connection to {before.hop.name} broke: {str(error) or 'it was cut'}",
                "Try again.",
            ) from error

    def _translated(self, error: BaseException, key_type: str | None) -> BaseException:
        if not isinstance(error, (paramiko.SSHException, OSError, EOFError)):
            return error
        if "no acceptable host key" in str(error) and key_type is None:
            return no_such_key(self.hop)
        said = self._command.last_words() if self._command is not None else ""
        return no_ssh(self.hop, said or str(error) or type(error).__name__)

    def _who(self) -> str:
        return self.hop.place if self.hop.is_board else f"{self.hop.name} ({self.hop.place})"

    def _hint(self, hint: str) -> str:
        over = self.hop.passed_over
        return f"{hint} Not followed of ~/.ssh/config: {', '.join(over)}." if over else hint


def make_transport(sock: Any, algorithms: tuple[str, ...] = ()) -> paramiko.Transport:
    """Set up a connection that offers modern algorithms only.

    Args:
        sock: What it runs over.
        algorithms: Those under which the server may show its host key; empty for all modern ones.
    """
    transport = paramiko.Transport(sock)
    transport.banner_timeout = transport.handshake_timeout = LOGIN_TIMEOUT_S
    transport.channel_timeout = LOGIN_TIMEOUT_S
    offered = transport.get_security_options()
    offered.ciphers = _CIPHERS
    offered.digests = _DIGESTS
    if algorithms:
        offered.key_types = tuple(name for name in algorithms if name in offered.key_types)
    return transport


def no_ssh(hop: Hop, reason: str) -> UnreachableError:
    """Say that what answers is no SSH server, or hung up."""
    name = "" if hop.is_board else f"{hop.name}, "
    return UnreachableError(
        f"no SSH session with {name}{hop.place}: {reason}",
        "Does the command work by itself?"
        if hop.proxy_command
        else "Does an SSH server listen on this port?",
    )


class _Command:
    """A ProxyCommand: a program of the user's own, whose stdio is the connection."""

    def __init__(self, command: str) -> None:
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self.sock, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                ["sh", "-c", f"exec {command}"],  # as ssh(1) runs it
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=self._stderr,
                start_new_session=True,
            )

    def last_words(self) -> str:
        """Return the end of what it wrote to standard error."""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _LAST_WORDS_BYTES))
        said = self._stderr.read().decode("utf-8", "replace").strip()
        return f"its ProxyCommand says: {said}" if said else ""

    def close(self) -> None:
        """End it with all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._stderr.close()
