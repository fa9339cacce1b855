"""A board over SSH, through as many jump hosts as it takes.

The host key of every server on the way is checked, on every connection, before anything is said to
it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from types import TracebackType

import paramiko

from targets.inventory import Target
from targets.ssh.channel import TRY_AGAIN, SshChannel, close_quietly, link_lost
from targets.ssh.dial import Session, login_broke
from targets.ssh.host_keys import HostKey, check_host_key
from targets.ssh.login import LOGIN_TIMEOUT_S, log_in
from targets.ssh.route import SshServer, route_to
from targets.transport import CommandResult, DeadlineError, UnreachableError

#: Logins to one server at the same time: from the tenth on, OpenSSH hangs up on some of them
#: (`MaxStartups` of sshd_config(5)).
LOGINS_AT_ONCE = 8

_TURNS: dict[tuple[str, int], threading.Semaphore] = {}
_TURNS_LOCK = threading.Lock()


def read_host_key(route: Sequence[SshServer], key_type: str | None = None) -> HostKey:
    """Ask the last server of a route for its host key, without logging in to it.

    Args:
        route: Servers on the way, the nearest first; all but the last are logged in to.
        key_type: Type of key to ask for; without it the server chooses.

    Raises:
        UnreachableError: No SSH server answers.
        HostKeyError: A jump host is not the one that is known.
        LoginRefusedError: A jump host refuses the login.
    """
    sessions = _log_in_along(route[:-1])
    try:
        sessions.append(Session(route[-1], sessions[-1] if sessions else None, key_type))
        return sessions[-1].host_key
    finally:
        _close_all(sessions)


def connect_ssh(target: Target) -> SshTransport:
    """Log in to a board.

    Raises:
        UnreachableError: Nothing answers, or the link broke; the message says at which server.
        HostKeyError: A server on the way shows another host key than the one that is known.
        LoginRefusedError: A server refuses the user or the key.
        SshConfigError: The user's SSH configuration is wrong.
    """
    return SshTransport(_log_in_along(route_to(target)), target.name)


def _log_in_along(route: Sequence[SshServer]) -> list[Session]:
    """Log in to each server on the way, through the one before it."""
    sessions: list[Session] = []
    try:
        for server in route:
            with _turn_at(server):
                sessions.append(Session(server, sessions[-1] if sessions else None))
                check_host_key(server, sessions[-1].host_key)
                try:
                    log_in(sessions[-1].transport, server)
                except (paramiko.SSHException, OSError, EOFError) as error:
                    raise login_broke(server, error) from error
            sessions[-1].transport.watch()
    except BaseException:
        _close_all(sessions)
        raise
    return sessions


def _turn_at(server: SshServer) -> threading.Semaphore:
    """Return the turns of logins to a server, which may be the jump host of many boards."""
    with _TURNS_LOCK:
        return _TURNS.setdefault((server.host, server.port), threading.Semaphore(LOGINS_AT_ONCE))


def _close_all(sessions: Sequence[Session]) -> None:
    for session in reversed(sessions):
        session.close()


class SshTransport:
    """A logged-in connection."""

    def __init__(self, sessions: list[Session], name: str) -> None:
        """Take the open connections along the way, the last of which is the board's."""
        self._sessions = sessions
        self._name = name

    def run(self, command: str, stdin: bytes, timeout_s: float) -> CommandResult:
        """Run a shell command to its end; see `Transport.run`."""
        deadline = time.monotonic() + timeout_s
        channel = self.open(command)
        try:
            output = channel.exchange(stdin, timeout_s)
            code = channel.exit_code(max(1.0, deadline - time.monotonic()))
            return CommandResult(code, output, channel.last_words().encode())
        finally:
            channel.close()

    def open(self, command: str) -> SshChannel:
        """Start a shell command; see `Transport.open`.

        Raises:
            UnreachableError: The link ended, or the server runs no commands; connect again.
            DeadlineError: The server did not start the command in time; try again.
        """
        connection = self._sessions[-1].transport
        channel: paramiko.Channel | None = None
        began_at = time.monotonic()
        try:
            channel = connection.open_session(timeout=LOGIN_TIMEOUT_S)
            # exec_command() itself would wait for ever for a server that does not answer.
            deadline = threading.Timer(LOGIN_TIMEOUT_S, close_quietly, (channel,))
            deadline.start()
            try:
                channel.exec_command(command)
            finally:
                deadline.cancel()
        except paramiko.ChannelException as error:
            raise UnreachableError(
                f"the SSH server of {self._name} opens no session for a command: {error.text}",
                "MaxSessions of its sshd_config may be 0, as for accounts that only forward; or as "
                "many sessions of this connection are open as it allows.",
            ) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            if channel is None or not connection.is_active():
                raise link_lost(self._name, connection, error) from error
            if time.monotonic() - began_at >= LOGIN_TIMEOUT_S:
                raise DeadlineError(
                    f"{self._name} did not start a command within {LOGIN_TIMEOUT_S:g} s", TRY_AGAIN
                ) from error
            raise UnreachableError(
                f"the SSH server of {self._name} refuses to run a command",
                "kedge needs a login that may run `sh`; this one may be for SFTP or for forwarding "
                "only.",
            ) from error
        return SshChannel(channel, self._name)

    def close(self) -> None:
        """Close the connection; see `Transport.close`."""
        _close_all(self._sessions)

    def __enter__(self) -> SshTransport:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
