"""Runs the commands of an application: without a shell, for a bounded time, with bounded output."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import time
from typing import Dict, List, NamedTuple, Tuple

#: Longest time of a command that makes the application load a release again.
RELOAD_TIMEOUT_S = 30.0

#: Longest time of a command that says whether the application works.
HEALTH_TIMEOUT_S = 60.0

#: Last part of what a command printed that is kept.
MOST_OUTPUT_BYTES = 2048

#: Exit codes of a shell for a command that cannot be started, and for one that was ended.
_CANNOT_START, _TIMED_OUT = 127, 124

_POLL_S = 0.02
_KEPT_VARIABLES = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "XDG_RUNTIME_DIR", "TZ")


class HookResult(NamedTuple):
    """End of a command."""

    exit_code: int
    """Exit code; minus the number of the signal that ended it; 124 after its time, 127 where it
    could not be started."""
    output: str
    """Last 2 KiB of what it printed."""
    duration_ms: float


def run_hook(command: List[str], timeout_s: float, variables: Dict[str, str]) -> HookResult:
    """Run a command to its end; what it leaves running, such as a service, lives on.

    Args:
        command: Absolute path and arguments.
        timeout_s: Longest time; it is killed then.
        variables: Variables of its environment, beside those of the login.
    """
    own = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    began = time.monotonic()
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd="/",
            env=dict(own, **variables),
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        return HookResult(_CANNOT_START, str(error)[:MOST_OUTPUT_BYTES], 0.0)
    assert process.stdout is not None
    with process.stdout:
        output, is_late = _follow(process, process.stdout.fileno(), began + timeout_s)
    exit_code = _TIMED_OUT if is_late else process.returncode
    text = output.decode("utf-8", "replace")
    return HookResult(exit_code, text, round((time.monotonic() - began) * 1e3, 1))


def _follow(process: subprocess.Popen[bytes], pipe: int, end_s: float) -> Tuple[bytes, bool]:
    """Read what a process prints until it ends; a descendant may keep the pipe open longer."""
    output, is_late = b"", False
    os.set_blocking(pipe, False)
    while process.poll() is None:
        select.select([pipe], [], [], _POLL_S)
        output = _read_more(pipe, output)
        if time.monotonic() > end_s:
            is_late = True
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return _read_more(pipe, output), is_late


def _read_more(pipe: int, output: bytes) -> bytes:
    with contextlib.suppress(BlockingIOError):
        data = os.read(pipe, 65536)
        if not data:
            time.sleep(_POLL_S)  # closed by a process that goes on
        return (output + data)[-MOST_OUTPUT_BYTES:]
    return output
