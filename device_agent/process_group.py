"""Ends an inference process together with everything that it started.

The process leads a session of its own. What leaves that session becomes a child of the agent when
its parent ends, where the kernel lets the agent adopt it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from typing import TYPE_CHECKING, Dict, Set, Tuple

if TYPE_CHECKING:
    import subprocess

#: Option of prctl(2), from Linux 3.4 on.
_PR_SET_CHILD_SUBREAPER = 36

#: Longest time for ending what a process started; a kill takes a moment under load.
_SWEEP_S = 2.0
_SWEEP_POLL_S = 0.005

#: More than `/proc/PID/stat` has: 52 numbers and a name.
_STAT_BYTES = 4096

#: Positions in `/proc/PID/stat` behind the name.
_STATE, _PARENT, _SESSION = 0, 1, 3


def adopt_orphans() -> None:
    """Let what the descendants of this process leave behind become its children."""
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes  # some boards have a Python without it

        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def own_children() -> Set[int]:
    """Return the processes whose parent this process is."""
    return {pid for pid, (parent, _) in _running().items() if parent == os.getpid()}


def end_with_descendants(process: subprocess.Popen[bytes], others: Set[int]) -> None:
    """Kill a process that leads a session, and what it started.

    Args:
        process: Process to end; its exit code is collected.
        others: Children of this process from before it was started, which live on.
    """
    with contextlib.suppress(OSError):  # all of its group has ended
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    deadline = time.monotonic() + _SWEEP_S
    while time.monotonic() < deadline:
        orphans = {
            pid: parent
            for pid, (parent, session) in _running().items()
            if session == process.pid or (parent == os.getpid() and pid not in others)
        }
        if not orphans:
            return
        for pid, parent in orphans.items():
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
            if parent == os.getpid():
                with contextlib.suppress(ChildProcessError):
                    os.waitpid(pid, os.WNOHANG)
        time.sleep(_SWEEP_POLL_S)


def _running() -> Dict[int, Tuple[int, int]]:
    """Return parent and session of each process that has not ended."""
    processes = {}
    for name in filter(str.isdigit, _names("/proc")):
        try:
            # Unbuffered: a buffer asks three more questions about each of hundreds of files.
            with open("/proc/{}/stat".format(name), "rb", buffering=0) as file:
                fields = (file.read(_STAT_BYTES) or b"").rpartition(b")")[2].split()
        except OSError:  # it has just ended
            continue
        if fields[_STATE] != b"Z" or int(fields[_PARENT]) == os.getpid():
            processes[int(name)] = (int(fields[_PARENT]), int(fields[_SESSION]))
    return processes


def _names(folder: str) -> Tuple[str, ...]:
    try:
        return tuple(os.listdir(folder))
    except OSError:
        return ()
