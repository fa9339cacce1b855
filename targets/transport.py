"""What a connection to a board must be able to do, and how it fails.

A transport runs one command to its end, or opens one as a two-way channel. Everything else, files
included, is built on these two, so OpenSSH, Dropbear without SFTP and a local process are alike.
Every call has a deadline.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from targets.errors import TargetError


class UnreachableError(TargetError):
    """No connection: the host is down, the name unknown, the port closed, or the link was cut."""


class SilentLinkError(UnreachableError):
    """A connection that was given up, because nothing had come from the board for about a minute.

    A board that restarts answers within that time, by closing the connection.
    """


class HostKeyError(TargetError):
    """The board's host key is not the one that was accepted: it may be another machine."""


class LoginRefusedError(TargetError):
    """The board is there, but refuses the user or the key."""


class DeadlineError(TargetError):
    """The board gave no answer in time."""


class FloodError(TargetError):
    """The board says more than any command of kedge does."""


#: Largest output of a command that runs to its end; kedge's own answer with less than 1 MiB, and
#: startup files of a login may print some MiB before.
MOST_OUTPUT_BYTES = 16 << 20


def flood(name: str) -> FloodError:
    """Return the error for a board that does not stop to print."""
    return FloodError(
        f"{name} printed more than {MOST_OUTPUT_BYTES >> 20} MiB in place of an answer",
        "Does a startup file of the login, such as .bashrc, print without end?",
    )


@dataclass(frozen=True)
class CommandResult:
    """A command that ran to its end."""

    exit_code: int
    stdout: bytes
    stderr: bytes


class Channel(Protocol):
    """A running command on the board, seen through its stdio."""

    def write(self, data: bytes, timeout_s: float) -> None:
        """Send all of `data`.

        Raises:
            UnreachableError: The command or the link ended.
            DeadlineError: Nothing was taken for `timeout_s`.
        """

    def read(self, size: int, timeout_s: float) -> bytes:
        """Return at least one and at most `size` bytes; empty when the command closed its output.

        Raises:
            UnreachableError: The link ended.
            DeadlineError: Nothing came for `timeout_s`.
        """

    def last_words(self) -> str:
        """Return the end of what the command wrote to standard error so far."""

    def close(self) -> None:
        """End the command and free the channel; safe to call twice."""


class Transport(Protocol):
    """A connection to one board."""

    def run(self, command: str, stdin: bytes, timeout_s: float) -> CommandResult:
        """Run a shell command to its end.

        Raises:
            UnreachableError: The link ended.
            DeadlineError: The command had not ended after `timeout_s`.
            FloodError: It printed more than `MOST_OUTPUT_BYTES`.
        """

    def open(self, command: str) -> Channel:
        """Start a shell command and return its stdio.

        Raises:
            UnreachableError: The link ended, or the server runs no commands.
            DeadlineError: The server did not start the command in time.
        """

    def close(self) -> None:
        """Close the connection; safe to call twice."""

    def __enter__(self) -> Transport:
        """Use the transport as a context manager."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
