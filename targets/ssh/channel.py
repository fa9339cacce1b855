"""The stdio of a command on a board, over SSH."""

from __future__ import annotations

import socket
import time
from contextlib import suppress

import paramiko

from targets.ssh.connection import SILENCE_S, Connection
from targets.ssh.link_words import reason_of
from targets.transport import (
    MOST_OUTPUT_BYTES,
    DeadlineError,
    SilentLinkError,
    UnreachableError,
    flood,
)

_READ_BYTES = 1 << 15
_STDERR_EVERY_S = 0.5
_INPUT_EVERY_S = 0.01
#: Next step after a command that did not answer in time.
TRY_AGAIN = (
    "The board may be overloaded; or its login shell, a startup file such as .bashrc, or its "
    "python3 waits for something: does `ssh … python3 --version` answer? Try again."
)
_LAST_WORDS_BYTES = 4000

#: Largest part of standard error that is read before standard output has its turn.
_MOST_STDERR_AT_ONCE = 1 << 20


class SshChannel:
    """The stdio of a command on the board."""

    def __init__(self, channel: paramiko.Channel, name: str) -> None:
        self._channel = channel
        self._name = name
        self._stderr = b""
        self._stderr_bytes = 0

    def write(self, data: bytes, timeout_s: float) -> None:
        """Send all of `data`; see `Channel.write`.

        Raises:
            UnreachableError: The command or the link ended; try again.
            DeadlineError: Nothing was taken for `timeout_s`; try again.
        """
        self._channel.settimeout(timeout_s)
        try:
            self._channel.sendall(data)
        except socket.timeout as error:  # noqa: UP041 - an alias only from Python 3.10 on
            raise _silent(self._name, timeout_s) from error
        except (paramiko.SSHException, OSError, EOFError) as error:
            raise self._lost(error) from error

    def read(self, size: int, timeout_s: float) -> bytes:
        """Return the next bytes; see `Channel.read`.

        Raises:
            UnreachableError: The link ended; try again.
            DeadlineError: Nothing came for `timeout_s`; try again.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            remaining_s = deadline - time.monotonic()
            data = self._receive(size, max(0.0, min(remaining_s, _STDERR_EVERY_S)))
            if data is not None:
                return data
            if remaining_s <= 0:
                raise _silent(self._name, timeout_s)

    def exchange(self, stdin: bytes, timeout_s: float) -> bytes:
        """Send all of the input and return all of the output; a command may do both at once.

        Raises:
            UnreachableError: The link ended.
            DeadlineError: The command had not closed its output after `timeout_s`.
            FloodError: The board says more than any command of kedge does.
        """
        deadline = time.monotonic() + timeout_s
        output, position, is_input_open = bytearray(), 0, True
        while True:
            if time.monotonic() >= deadline:
                raise DeadlineError(
                    f"{self._name} did not finish a command within {timeout_s:.0f} s", TRY_AGAIN
                )
            if is_input_open and position == len(stdin):
                with suppress(OSError, EOFError):
                    self._channel.shutdown_write()
                is_input_open = False
            if is_input_open and self._channel.send_ready():
                with suppress(OSError):  # it ended without reading all of its input
                    position += self._channel.send(stdin[position : position + _READ_BYTES])
                    continue
            data = self._receive(_READ_BYTES, _INPUT_EVERY_S if is_input_open else _STDERR_EVERY_S)
            if data == b"":
                return bytes(output)
            output += data or b""
            if len(output) + self._stderr_bytes > MOST_OUTPUT_BYTES:
                raise flood(self._name)

    def exit_code(self, timeout_s: float) -> int:
        """Return the command's exit code; -1 when it was ended by a signal.

        Raises:
            UnreachableError: The link ended before the command did.
            DeadlineError: The board did not report the exit code.
        """
        if not self._channel.status_event.wait(timeout_s):
            raise DeadlineError(f"{self._name} did not report how a command ended", TRY_AGAIN)
        code = int(self._channel.recv_exit_status())
        if code < 0 and not self._channel.get_transport().is_active():
            raise self._lost(EOFError("the link was cut"))
        return code

    def last_words(self) -> str:
        """Return the end of standard error; see `Channel.last_words`."""
        self._drain_stderr()
        return self._stderr.decode("utf-8", "replace").strip()

    def close(self) -> None:
        """End the command; see `Channel.close`."""
        close_quietly(self._channel)

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
            raise self._lost(error) from error
        finally:
            self._drain_stderr()
        if not data and self._channel.get_transport().is_lost:
            raise self._lost(EOFError())
        return data

    def _lost(self, error: BaseException) -> UnreachableError:
        return link_lost(self._name, self._channel.get_transport(), error, self.last_words())

    def _drain_stderr(self) -> None:
        end = self._stderr_bytes + _MOST_STDERR_AT_ONCE
        while self._channel.recv_stderr_ready() and self._stderr_bytes < end:
            data = self._channel.recv_stderr(_READ_BYTES)
            if not data:
                break
            self._stderr_bytes += len(data)
            self._stderr = (self._stderr + data)[-_LAST_WORDS_BYTES:]


def close_quietly(channel: paramiko.Channel) -> None:
    """Close a channel; a link that is cut is closed, too."""
    with suppress(paramiko.SSHException, OSError, EOFError):
        channel.close()


def _silent(name: str, timeout_s: float) -> DeadlineError:
    return DeadlineError(f"{name} was silent for {timeout_s:.0f} s", TRY_AGAIN)


def link_lost(
    name: str, connection: Connection, error: BaseException, last_words: str = ""
) -> UnreachableError:
    """Return the error for an open connection that ended."""
    reason = reason_of(error)
    suffix = f"; its last words: {last_words}" if last_words else ""
    if connection.is_lost:
        return SilentLinkError(
            f"the connection to {name} broke: nothing came from it for {SILENCE_S:.0f} s, not even "
            f"an answer to a keepalive{suffix}",
            "Is the board on, and in this network? Then try again: what has arrived is kept.",
        )
    return UnreachableError(
        f"the connection to {name} broke: {reason}{suffix}",
        "Try again: what has arrived is kept. If it stays so, the log of its SSH server says why.",
    )
