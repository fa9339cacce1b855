"""A board over SSH; the only user of paramiko.

The host key is checked on every connection against the fingerprint that the inventory holds, and
the key type is pinned with it, so that a server with several keys always shows the known one.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import paramiko

from targets.errors import TargetError
from targets.inventory import DEFAULT_PORT, Address, Target
from targets.transport import (
    Completed,
    DeadlineError,
    HostKeyError,
    LoginRefusedError,
    UnreachableError,
)

CONNECT_TIMEOUT_S = 10.0
LOGIN_TIMEOUT_S = 20.0
KEEPALIVE_S = 15

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
#: The signature algorithms under which a key of this type may be shown.
_ALGORITHMS = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}

_READ_BYTES = 1 << 15
_STDERR_EVERY_S = 0.5
_INPUT_EVERY_S = 0.01
_TRY_AGAIN = "The board may be overloaded or the link cut; try again."
_LAST_WORDS_BYTES = 4000


# Failures reach the user as our errors; paramiko's log of the same would only repeat them.
logging.getLogger("paramiko").addHandler(logging.NullHandler())


def read_host_key(address: Address, key_type: str | None = None) -> tuple[str, str]:
    """Ask a board for its host key, without logging in.

    Args:
        address: Where the board is.
        key_type: The type of key to ask for; without it the board chooses.

    Returns:
        The key's type and its fingerprint, `SHA256:…` as `ssh-keygen -l` prints it.

    Raises:
        UnreachableError: Nothing that speaks SSH answers there.
    """
    with _dial(address) as sock:
        transport = _make_transport(sock, key_type)
        try:
            transport.start_client(timeout=LOGIN_TIMEOUT_S)
            key = transport.get_remote_server_key()
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise _no_ssh(address, error) from error
        finally:
            transport.close()
    return key.get_name(), key.fingerprint


def connect_ssh(target: Target) -> SshTransport:
    """Log in to a board.

    Raises:
        UnreachableError: Nothing answers, or the link broke.
        HostKeyError: It shows another host key than the inventory holds.
        LoginRefusedError: It refuses the user or the key.
    """
    address = target.ssh_address
    key = _read_identity(target.identity) if target.identity else None
    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(_Pinned(target))
    sock = _dial(address)
    try:
        client.connect(
            address.host,
            port=address.port,
            username=address.user,
            pkey=key,
            sock=sock,
            timeout=CONNECT_TIMEOUT_S,
            banner_timeout=LOGIN_TIMEOUT_S,
            auth_timeout=LOGIN_TIMEOUT_S,
            channel_timeout=LOGIN_TIMEOUT_S,
            look_for_keys=key is None,
            allow_agent=key is None,
            transport_factory=lambda opened, **_: _make_transport(opened, target.host_key_type),
        )
        transport = client.get_transport()
        assert transport is not None
        transport.set_keepalive(KEEPALIVE_S)
    except BaseException as error:
        client.close()
        sock.close()
        raise _translated(error, target) from error
    return SshTransport(client, target)


class SshTransport:
    """A logged-in connection."""

    def __init__(self, client: paramiko.SSHClient, target: Target) -> None:
        self._client = client
        self._name = target.name

    def run(self, command: str, stdin: bytes, timeout_s: float) -> Completed:
        """Run a shell command to its end; see `Transport.run`."""
        deadline = time.monotonic() + timeout_s
        channel = self.open(command)
        try:
            output = channel.exchange(stdin, timeout_s)
            code = channel.exit_code(max(1.0, deadline - time.monotonic()))
            return Completed(code, output, channel.last_words().encode())
        finally:
            channel.close()

    def open(self, command: str) -> SshChannel:
        """Start a shell command; see `Transport.open`."""
        transport = self._client.get_transport()
        try:
            if transport is None:
                raise EOFError("the connection is closed")
            channel = transport.open_session(timeout=LOGIN_TIMEOUT_S)
            # exec_command() itself would wait for ever for a server that does not answer.
            deadline = threading.Timer(LOGIN_TIMEOUT_S, _close, (channel,))
            deadline.start()
            try:
                channel.exec_command(command)
            finally:
                deadline.cancel()
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise _link_lost(self._name, error) from error
        return SshChannel(channel, self._name)

    def close(self) -> None:
        """Close the connection; see `Transport.close`."""
        self._client.close()

    def __enter__(self) -> SshTransport:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class SshChannel:
    """The stdio of a command on the board."""

    def __init__(self, channel: paramiko.Channel, name: str) -> None:
        self._channel = channel
        self._name = name
        self._stderr = b""

    def write(self, data: bytes, timeout_s: float) -> None:
        """Send all of `data`; see `Channel.write`."""
        self._channel.settimeout(timeout_s)
        try:
            self._channel.sendall(data)
        except socket.timeout as error:  # noqa: UP041 - an alias only from Python 3.10 on
            raise _silent(self._name, timeout_s) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise _link_lost(self._name, error, self.last_words()) from error

    def read(self, size: int, timeout_s: float) -> bytes:
        """Return the next bytes; see `Channel.read`."""
        deadline = time.monotonic() + timeout_s
        while True:
            left = deadline - time.monotonic()
            data = self._receive(size, max(0.0, min(left, _STDERR_EVERY_S)))
            if data is not None:
                return data
            if left <= 0:
                raise _silent(self._name, timeout_s)

    def exchange(self, stdin: bytes, timeout_s: float) -> bytes:
        """Send all of the input and return all of the output; a command may do both at once.

        Raises:
            UnreachableError: The link ended.
            DeadlineError: The command had not closed its output after `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        output, sent, open_input = bytearray(), 0, True
        while True:
            if time.monotonic() >= deadline:
                raise DeadlineError(
                    f"{self._name} did not finish a command within {timeout_s:.0f} s", _TRY_AGAIN
                )
            if open_input and sent == len(stdin):
                with suppress(OSError, EOFError):
                    self._channel.shutdown_write()
                open_input = False
            if open_input and self._channel.send_ready():
                with suppress(OSError):  # it ended without reading all of its input
                    sent += self._channel.send(stdin[sent : sent + _READ_BYTES])
                    continue
            data = self._receive(_READ_BYTES, _INPUT_EVERY_S if open_input else _STDERR_EVERY_S)
            if data == b"":
                return bytes(output)
            output += data or b""

    def exit_code(self, timeout_s: float) -> int:
        """Return the command's exit code; -1 when it was ended by a signal.

        Raises:
            UnreachableError: The link ended before the command did.
            DeadlineError: The board did not tell.
        """
        if not self._channel.status_event.wait(timeout_s):
            raise DeadlineError(f"{self._name} did not report how a command ended", _TRY_AGAIN)
        code = int(self._channel.recv_exit_status())
        if code < 0 and not self._channel.get_transport().is_active():
            raise _link_lost(self._name, EOFError("the link was cut"), self.last_words())
        return code

    def last_words(self) -> str:
        """Return the end of standard error; see `Channel.last_words`."""
        self._drain_stderr()
        return self._stderr.decode("utf-8", "replace").strip()

    def close(self) -> None:
        """End the command; see `Channel.close`."""
        _close(self._channel)

    def _receive(self, size: int, timeout_s: float) -> bytes | None:
        """Return the next bytes, or `None` when none came; standard error is read meanwhile.

        It must be: it shares the channel's window, and a full one stops the command.
        """
        self._channel.settimeout(timeout_s)
        try:
            data: bytes = self._channel.recv(size)
        except socket.timeout:  # noqa: UP041 - an alias only from Python 3.10 on
            return None
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise _link_lost(self._name, error, self.last_words()) from error
        finally:
            self._drain_stderr()
        return data

    def _drain_stderr(self) -> None:
        while self._channel.recv_stderr_ready():
            said = self._channel.recv_stderr(_READ_BYTES)
            if not said:
                break
            self._stderr = (self._stderr + said)[-_LAST_WORDS_BYTES:]


class _Pinned(paramiko.MissingHostKeyPolicy):  # type: ignore[misc] # paramiko has no types
    """Accepts exactly the key that the inventory holds; the client knows no other."""

    def __init__(self, target: Target) -> None:
        self._target = target

    def missing_host_key(self, client: Any, hostname: str, key: paramiko.PKey) -> None:
        """Refuse every other key."""
        del client, hostname
        if key.fingerprint != self._target.host_key:
            raise HostKeyError(
                f"the host key of {self._target.name} has changed: {self._target.host_key} was "
                f"accepted, {key.fingerprint} is shown now; this may be another machine",
                f"If you reinstalled the board: kedge target remove {self._target.name} --forget, "
                "then add it again.",
            )


def _dial(address: Address) -> socket.socket:
    try:
        return socket.create_connection((address.host, address.port), CONNECT_TIMEOUT_S)
    except (OSError, UnicodeError) as error:  # UnicodeError: no name that a resolver may be asked
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, TimeoutError):
            reason = "no answer"
        raise UnreachableError(
            f"cannot connect to {address.host} port {address.port}: {reason}",
            "Is the board on, in this network, and is its SSH server running?",
        ) from error


def _make_transport(sock: socket.socket, key_type: str | None) -> paramiko.Transport:
    transport = paramiko.Transport(sock)
    transport.banner_timeout = transport.handshake_timeout = LOGIN_TIMEOUT_S
    offered = transport.get_security_options()
    offered.ciphers = _CIPHERS
    offered.digests = _DIGESTS
    if key_type is not None:
        offered.key_types = _ALGORITHMS.get(key_type, (key_type,))
    return transport


def _offered(target: Target) -> str:
    if target.identity is not None:
        return f"the key {target.identity}"
    return "the keys of the SSH agent and of ~/.ssh"


def _copy_id(target: Target) -> str:
    """Write the command that puts a key on the board: ssh-copy-id takes no HOST:PORT."""
    address, words = target.ssh_address, ["ssh-copy-id"]
    if address.port != DEFAULT_PORT:
        words += ["-p", str(address.port)]
    if target.identity is not None:
        words += ["-i", f"{target.identity}.pub"]
    return " ".join([*words, f"{address.user}@{address.host}"])


def _read_identity(path: Path) -> paramiko.PKey:
    hint = "Name the private key of a pair whose public half is on the board."
    try:
        return paramiko.PKey.from_path(path.expanduser())
    except OSError as error:
        reason = error.strerror or str(error)
        raise LoginRefusedError(f"cannot read the identity {path}: {reason}", hint) from error
    except (paramiko.PasswordRequiredException, TypeError) as error:
        # TypeError: what the cryptography library raises for an encrypted key without password
        raise LoginRefusedError(
            f"the identity {path} has a passphrase",
            "Load it into an SSH agent with ssh-add, and add the target without --identity.",
        ) from error
    except (ValueError, paramiko.SSHException, paramiko.UnknownKeyType) as error:
        raise LoginRefusedError(f"the identity {path} is no private key", hint) from error


def _translated(error: BaseException, target: Target) -> BaseException:
    if isinstance(error, TargetError) or not isinstance(error, Exception):
        return error
    user = target.ssh_address.user
    no_key = "No authentication methods" in str(error)
    if isinstance(error, paramiko.AuthenticationException) or no_key:
        return LoginRefusedError(
            f"{target.name} refused the login of {user} with {_offered(target)}",
            f"Put your public key on the board: {_copy_id(target)}",
        )
    if isinstance(error, paramiko.SSHException) and "no acceptable host key" in str(error):
        return HostKeyError(
            f"{target.name} no longer shows a host key of type {target.host_key_type}",
            f"If you reinstalled the board: kedge target remove {target.name} --forget, "
            "then add it again.",
        )
    if isinstance(error, (paramiko.SSHException, OSError, EOFError)):
        return _no_ssh(target.ssh_address, error)
    return error


def _no_ssh(address: Address, error: BaseException) -> UnreachableError:
    reason = str(error) or type(error).__name__
    return UnreachableError(
        f"no SSH session with {address.host} port {address.port}: {reason}",
        "Does an SSH server listen on this port?",
    )


def _close(channel: paramiko.Channel) -> None:
    with suppress(paramiko.SSHException, OSError, EOFError):  # a link that is cut is closed, too
        channel.close()


def _silent(name: str, timeout_s: float) -> DeadlineError:
    return DeadlineError(f"{name} was silent for {timeout_s:.0f} s", _TRY_AGAIN)


def _link_lost(name: str, error: BaseException, last_words: str = "") -> UnreachableError:
    said = f"; its last words: {last_words}" if last_words else ""
    return UnreachableError(
        f"the connection to {name} broke: {str(error) or type(error).__name__}{said}",
        "Try again: what has arrived is kept.",
    )
