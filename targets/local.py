"""This computer as a board: commands run as child processes."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import tempfile
import time
from types import TracebackType
from typing import IO

from targets.transport import CommandResult, DeadlineError, UnreachableError

_LAST_WORDS_BYTES = 4000

#: A command whose stdin was closed ends within this time, or is killed.
_EXIT_S = 2.0


class LocalTransport:
    """Runs commands with this computer's `sh`."""

    def run(self, command: str, stdin: bytes, timeout_s: float) -> CommandResult:
        """Run a shell command to its end; see `Transport.run`.

        Raises:
            DeadlineError: The command had not ended after `timeout_s`; it was killed.
        """
        with subprocess.Popen(
            ["sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        ) as process:
            try:
                stdout, stderr = process.communicate(stdin, timeout_s)
            except subprocess.TimeoutExpired as error:
                message = f"this computer did not finish a command within {timeout_s:.0f} s"
                raise DeadlineError(message, "It may be overloaded; try again.") from error
            finally:
                _kill(process)
        return CommandResult(process.returncode, stdout, stderr)

    def open(self, command: str) -> LocalChannel:
        """Start a shell command; see `Transport.open`."""
        return LocalChannel(command)

    def close(self) -> None:
        """Nothing is held open."""

    def __enter__(self) -> LocalTransport:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class LocalChannel:
    """The stdio of a child process."""

    def __init__(self, command: str) -> None:
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed in close()
        self._process = subprocess.Popen(
            ["sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is ours to handle: the agent ends when we close it
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._stdin = self._process.stdin
        self._stdout = self._process.stdout
        os.set_blocking(self._stdin.fileno(), False)

    def write(self, data: bytes, timeout_s: float) -> None:
        """Send all of `data`; see `Channel.write`.

        Raises:
            UnreachableError: The command ended; the message has its last words.
            DeadlineError: Nothing was taken for `timeout_s`.
        """
        view = memoryview(data)
        while view:
            self._wait(self._stdin, selectors.EVENT_WRITE, timeout_s)
            try:
                view = view[os.write(self._stdin.fileno(), view) :]
            except BrokenPipeError as error:
                raise UnreachableError(f"the agent ended: {self.last_words()}") from error

    def read(self, size: int, timeout_s: float) -> bytes:
        """Return the next bytes; see `Channel.read`.

        Raises:
            DeadlineError: Nothing came for `timeout_s`.
        """
        self._wait(self._stdout, selectors.EVENT_READ, timeout_s)
        return os.read(self._stdout.fileno(), size)

    def last_words(self) -> str:
        """Return the end of standard error; see `Channel.last_words`."""
        size = self._stderr.seek(0, os.SEEK_END)
        self._stderr.seek(max(0, size - _LAST_WORDS_BYTES))
        return self._stderr.read().decode("utf-8", "replace").strip()

    def close(self) -> None:
        """End the process; see `Channel.close`."""
        with contextlib.suppress(OSError):
            self._stdin.close()
        end = time.monotonic() + _EXIT_S
        while self._process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        _kill(self._process)
        self._stdout.close()
        self._stderr.close()

    def _wait(self, pipe: IO[bytes], event: int, timeout_s: float) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, event)
            if not selector.select(timeout_s):
                raise DeadlineError(
                    f"the agent on this computer was silent for {timeout_s:.0f} s",
                    "The computer may be overloaded; try again.",
                )


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the command with all that it started; it leads a process group of its own."""
    if process.poll() is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()
