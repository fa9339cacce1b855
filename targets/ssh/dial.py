"""Opens an SSH connection to one server: directly, through a jump host, or through a command."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import subprocess
import tempfile
import time
from typing import IO, Any

import paramiko

from targets.ssh.algorithms import CIPHERS, DIGESTS, has_old_host_keys_only, missing_algorithm
from targets.ssh.connection import Connection
from targets.ssh.host_keys import (
    HostKey,
    algorithms_for,
    authorities_of,
    known_keys,
    no_certificate,
    no_such_key,
)
from targets.ssh.link_words import reason_of
from targets.ssh.login import LOGIN_TIMEOUT_S
from targets.ssh.route import SshServer
from targets.transport import UnreachableError

#: RFC 4254, 5.1: the server does not open such channels at all.
_PROHIBITED = 1

_LAST_WORDS_BYTES = 500
_IS_IT_ON = "Is the board on, in this network, and is its SSH server running?"

# Failures reach the user as our errors; paramiko's log of the same would only repeat them.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


class Session:
    """An SSH connection to one server, before and after the login."""

    def __init__(
        self, server: SshServer, jump_host: Session | None, key_type: str | None = None
    ) -> None:
        """Connect and agree on keys; nobody is logged in yet, nor is the host key checked.

        Args:
            server: The server.
            jump_host: The logged-in connection to the jump host before it.
            key_type: Type of host key to ask for; without it, the types that are known.

        Raises:
            UnreachableError: No SSH server answers: the board or a jump host is off, or the
                address is wrong.
            HostKeyError: The server has no host key of the known types.
        """
        self.server = server
        self._command: _Command | None = None
        self._sock: Any = self._dial(jump_host)
        self._began_at = time.monotonic()
        try:
            keys = (HostKey(key_type, ""),) if key_type else known_keys(server)
            self.transport = make_transport(self._sock, algorithms_for(keys))
            self.transport.wants_certificate = not key_type and bool(authorities_of(server))
            timeout_s = self._handshake_timeout_s()
            self.transport.banner_timeout = self.transport.handshake_timeout = timeout_s
            self.transport.start_client(timeout=timeout_s)
            key = self.transport.get_remote_server_key()
            certificate = self.transport.host_certificate
            self.host_key = HostKey(key.get_name(), key.fingerprint, certificate)
        except BaseException as error:
            cause = self._error_for(error, key_type)
            self.close()
            raise cause from error

    def close(self) -> None:
        """End the connection, and the command that it runs through; safe to call twice."""
        if transport := getattr(self, "transport", None):
            transport.close()
        with contextlib.suppress(OSError, EOFError, paramiko.SSHException):
            self._sock.close()
        if self._command is not None:
            self._command.close()

    def _dial(self, jump_host: Session | None) -> Any:
        if jump_host is not None:
            return self._dial_through(jump_host)
        if self.server.proxy_command:
            self._command = _Command(self.server.proxy_command)
            return self._command.sock
        try:
            place = (self.server.host, self.server.port)
            return socket.create_connection(place, self.server.connect_timeout_s)
        except (OSError, UnicodeError) as error:  # UnicodeError: no name for a resolver
            reason = getattr(error, "strerror", None) or str(error)
            if isinstance(error, TimeoutError):
                reason = "no answer"
            hint = _IS_IT_ON
            if self.server.host.lower().startswith("fe80:") and "%" not in self.server.host:
                hint = f"Name the interface, too: [{self.server.host}%eth0] (`ip link` lists them)."
            raise UnreachableError(
                f"cannot connect to {self._who()}: {reason}", self._hint(hint)
            ) from error

    def _dial_through(self, jump_host: Session) -> Any:
        try:
            return jump_host.transport.open_channel(
                "direct-tcpip",
                (self.server.host, self.server.port),
                ("127.0.0.1", 0),
                timeout=self._handshake_timeout_s(),
            )
        except paramiko.ChannelException as error:
            if error.code == _PROHIBITED:
                raise UnreachableError(
                    f"{jump_host.server.name} does not forward connections to {self.server.place}",
                    "Its SSH server must allow it: AllowTcpForwarding in sshd_config, or no -j for "
                    "Dropbear.",
                ) from error
            raise UnreachableError(
                f"{jump_host.server.name} cannot connect to {self._who()}: {error.text or error}",
                self._hint(_IS_IT_ON),
            ) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise UnreachableError(
                f"the connection to {jump_host.server.name} broke: {str(error) or 'it was cut'}",
                "Try again.",
            ) from error

    def _error_for(self, error: BaseException, key_type: str | None) -> BaseException:
        if not isinstance(error, (paramiko.SSHException, OSError, EOFError)):
            return error
        transport: Connection | None = getattr(self, "transport", None)
        if "no acceptable host key" in str(error) and transport is not None:
            if has_old_host_keys_only(transport):
                return UnreachableError(
                    f"{self._who()} shows its host key with SHA-1 signatures only "
                    f"({', '.join(transport.offer['server_key_algo_list'])}), which kedge does not "
                    "trust",
                    "Update its SSH server, or give it a newer host key: ssh-keygen -A, or "
                    "dropbearkey -t ed25519.",
                )
            if transport.wants_certificate:
                return no_certificate(self.server)
            if any(key.kind for key in known_keys(self.server)) and key_type is None:
                return no_such_key(self.server)
        if transport is not None and (gap := missing_algorithm(transport, str(error))):
            return UnreachableError(
                f"kedge and {self._who()} {gap}",
                "Let its SSH server offer one that kedge has, too: in sshd_config, or by an update "
                "of the server.",
            )
        last_words = self._command.last_words() if self._command is not None else ""
        reason = _reason_of(error, self._began_at, self._handshake_timeout_s())
        if transport is not None and transport.offer and not last_words:
            return UnreachableError(
                f"no SSH session with {self._who()}: {reason}",
                "An SSH server answers there. Try again; if it stays so, its log says why.",
            )
        return no_ssh(self.server, last_words or reason)

    def _handshake_timeout_s(self) -> float:
        return self.server.handshake_timeout_s or LOGIN_TIMEOUT_S

    def _who(self) -> str:
        server = self.server
        return server.place if server.is_board else f"{server.name} ({server.place})"

    def _hint(self, hint: str) -> str:
        names = ", ".join(self.server.ignored_settings)
        return f"{hint} Not followed of ~/.ssh/config: {names}." if names else hint


def make_transport(sock: Any, algorithms: tuple[str, ...] = ()) -> Connection:
    """Set up a connection that offers modern algorithms only.

    Args:
        sock: Socket, or channel, that the connection runs over.
        algorithms: Algorithms under which the server may show its host key; empty for all modern
            ones.
    """
    transport = Connection(sock)
    transport.banner_timeout = transport.handshake_timeout = LOGIN_TIMEOUT_S
    transport.channel_timeout = LOGIN_TIMEOUT_S
    options = transport.get_security_options()
    options.ciphers = CIPHERS
    options.digests = DIGESTS
    if algorithms:
        options.key_types = tuple(name for name in algorithms if name in options.key_types)
    return transport


def no_ssh(server: SshServer, reason: str) -> UnreachableError:
    """Return the error for a server that speaks no SSH, or that hung up."""
    name = "" if server.is_board else f"{server.name}, "
    return UnreachableError(
        f"no SSH session with {name}{server.place}: {reason}",
        "Does the command work by itself?"
        if server.proxy_command
        else "Does an SSH server listen on this port?",
    )


def login_broke(server: SshServer, error: BaseException) -> UnreachableError:
    """Return the error for a server that speaks SSH, and fell silent or hung up at the login."""
    name = "" if server.is_board else f"{server.name}, "
    return UnreachableError(
        f"the login of {server.user} on {name}{server.place} broke off: {reason_of(error)}",
        "Try again. If it stays so, the log of its SSH server says why.",
    )


def _reason_of(error: BaseException, began_at: float, timeout_s: float) -> str:
    """Say in plain words why the handshake failed, where paramiko's words do not."""
    text = str(error)
    is_end = isinstance(error, (EOFError, OSError)) or "reading SSH protocol banner" in text
    if not is_end and "No existing session" not in text:  # what paramiko says at the deadline
        return reason_of(error)
    if time.monotonic() - began_at >= timeout_s:
        return f"no SSH handshake within {timeout_s:g} s"
    return "the connection was closed during the SSH handshake"


class _Command:
    """A ProxyCommand: a program of the user's own, whose stdio is the connection."""

    def __init__(self, command: str) -> None:
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self.sock, process_end = socket.socketpair()
        with process_end:
            self._process = subprocess.Popen(
                ["sh", "-c", f"exec {command}"],  # as ssh(1) runs it
                stdin=process_end.fileno(),
                stdout=process_end.fileno(),
                stderr=self._stderr,
                start_new_session=True,
            )

    def last_words(self) -> str:
        """Return the end of what it wrote to standard error."""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _LAST_WORDS_BYTES))
        words = self._stderr.read().decode("utf-8", "replace").strip()
        return f"its ProxyCommand says: {words}" if words else ""

    def close(self) -> None:
        """End it with all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._stderr.close()
