"""Runs a command and ends everything below it when the starter stops, dies or is killed.

The sessions of an SSH server leave its process group and its session, and outlive the server. So
a small process stands between: as a child subreaper it becomes the parent of every orphan below
it, and when the pipe from its starter closes (also by `kill -9` of the starter) it kills all its
descendants and returns only when none is left. It needs no privilege. This file is both the
function that starts a keeper and, run by its path, the keeper.
"""

import contextlib
import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LOOK_EVERY_SECONDS = 0.2
_END_WITHIN_SECONDS = 10.0


def start_kept(command: Sequence[str], log: Path) -> "subprocess.Popen[bytes]":
    """Starts `command` under a keeper; what both write goes to `log`.

    Args:
        command: The program, by its absolute path or a name on the PATH, and its arguments.
        log: Appended to.

    Returns:
        The keeper. It exits when the command has exited, with its exit code, or by `end_kept`.
    """
    own = [sys.executable, "-I", "-S", str(Path(__file__).resolve()), str(os.getpid())]
    with log.open("ab") as stream:
        return subprocess.Popen(
            [*own, *command],
            stdin=subprocess.PIPE,
            stdout=stream,
            stderr=stream,
            cwd="/",
            start_new_session=True,  # a Ctrl-C in the terminal is the starter's to handle
        )


def end_kept(keeper: "subprocess.Popen[bytes]") -> None:
    """Ends the command and everything below it; harmless when it has ended already."""
    if keeper.stdin is not None:
        keeper.stdin.close()
    try:
        keeper.wait(_END_WITHIN_SECONDS + 5)
    except subprocess.TimeoutExpired:
        keeper.kill()
        keeper.wait()


def descendants(ancestor: int) -> list[int]:
    """The ids of all processes below `ancestor`, zombies not counted."""
    children: dict[int, list[int]] = {}
    for pid, parent in _alive():
        children.setdefault(parent, []).append(pid)
    below: list[int] = []
    rest = [ancestor]
    while rest:
        own = children.get(rest.pop(), [])
        below += own
        rest += own
    return below


def _alive() -> Iterator[tuple[int, int]]:
    """Each process that is not a zombie, with its parent."""
    for entry in os.listdir("/proc"):  # noqa: PTH208 - names are all that is needed
        if not entry.isdigit():
            continue
        try:
            status = Path("/proc", entry, "stat").read_text(errors="replace")
        except OSError:
            continue  # it ended between the listing and the reading
        # The program's name stands in parentheses and may itself hold spaces and parentheses.
        state, parent = status.rpartition(")")[2].split()[:2]
        if state != "Z":
            yield int(entry), int(parent)


def _prctl(option: int, value: int) -> None:
    ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _end_with(keeper: int) -> None:
    """Run by the command's process: should the keeper itself be killed, at least it goes too."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != keeper:  # it was killed before the line above
        os._exit(1)


def _reap() -> tuple[dict[int, int], bool]:
    """Collects the children that ended, with their exit codes; says whether any is left."""
    ended: dict[int, int] = {}
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ended, False
        if pid == 0:
            return ended, True
        ended[pid] = os.waitstatus_to_exitcode(status)


def _end_all() -> None:
    """Kills everything below this process until nothing is left there."""
    deadline = time.monotonic() + _END_WITHIN_SECONDS
    while time.monotonic() < deadline:
        for pid in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        if not _reap()[1]:
            return
        time.sleep(0.01)


def _keep(starter: int, command: Sequence[str]) -> int:
    """Holds the command until it ends, the starter closes the pipe or the starter is gone."""
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda received, _frame: signals.append(received))
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    keeper = os.getpid()
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            preexec_fn=lambda: _end_with(keeper),
        )
    except OSError as error:
        print(f"cannot start {command[0]}: {error}", file=sys.stderr)  # noqa: T201 - the log
        return 127
    try:
        # The parent is looked at too: a fork of the starter may hold the pipe open after it.
        while not signals and os.getppid() == starter:
            if select.select([0], [], [], _LOOK_EVERY_SECONDS)[0]:
                break
            ended = _reap()[0]
            if child.pid in ended:
                return abs(ended[child.pid])
    finally:
        _end_all()
    return 0


if __name__ == "__main__":
    sys.exit(_keep(int(sys.argv[1]), sys.argv[2:]))
