"""The sandbox of a conversion's process: no network, and write access to its own folders only.

A model is checked before a framework reads it. The sandbox stands behind this check, for faults
that the check does not know. bubblewrap (`bwrap`) sets it up, where it is installed and works.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Environment variable by which the process knows its sandbox.
SANDBOX_VARIABLE = "KEDGE_SANDBOX"

_PROGRAM = "bwrap"
#: Everything is there to be read; processes and network are its own. Root keeps the right to read
#: files of other users, and no other.
_LIMITS = (
    *("--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--remount-ro", "/proc"),
    *("--unshare-ipc", "--unshare-pid", "--unshare-net", "--cap-drop", "ALL"),
    *("--cap-add", "CAP_DAC_OVERRIDE"),
)
#: Devices that TensorFlow computes with.
_DEVICES = ("nvidia*", "dri", "kfd")
_SOCKETS = Path("/proc/net/unix")
#: Seconds that a socket must have existed: a younger one may be gone when it is to be covered.
_OLD_S = 60.0
_TRIAL_S = 10.0


@dataclass(frozen=True)
class Sandbox:
    """Limits of one process."""

    words: str
    """Limits, or reason for having none, for conversion.json."""
    command: tuple[str, ...] = ()
    """Beginning of the command line that starts the process; empty without limits."""


def sandbox_around(writable: Sequence[Path]) -> Sandbox:
    """Set up a sandbox, and try once whether this computer allows it.

    Args:
        writable: Folders in which the process may write; each exists.

    Returns:
        The sandbox, or one without limits and the reason.
    """
    program = shutil.which(_PROGRAM)
    if program is None:
        return Sandbox("none: bubblewrap (bwrap) is not installed")
    command = [program, *_LIMITS]
    for device in (path for name in _DEVICES for path in Path("/dev").glob(name)):
        command += ["--dev-bind-try", str(device), str(device)]
    for socket in _usable_sockets():
        command += ["--ro-bind", os.devnull, str(socket)]
    for folder in writable:
        command += ["--bind", str(folder.resolve()), str(folder.resolve())]
    command.append("--")
    trial = [*command, sys.executable, "-I", "-S", "-c", ""]
    try:
        done = subprocess.run(trial, capture_output=True, text=True, timeout=_TRIAL_S, check=False)
        problem = done.stderr.strip() or f"exit code {done.returncode}" if done.returncode else ""
    except (OSError, subprocess.TimeoutExpired) as error:
        problem = str(error)
    if problem:
        return Sandbox(f"none: bubblewrap does not work here: {problem.splitlines()[-1]}")
    return Sandbox("bubblewrap: no network, writes into its own folders only", tuple(command))


def _usable_sockets() -> Iterator[Path]:
    """Sockets of other programs that this user may use, such as those of D-Bus or Docker.

    A program that is reached by one of them would write or connect in the place of the process.
    """
    try:
        lines = _SOCKETS.read_text(encoding="utf-8", errors="replace").splitlines()[1:]
    except OSError:
        return
    columns = [line.split(maxsplit=7) for line in lines]
    names = {row[7] for row in columns if len(row) == 8 and row[7].startswith("/")}
    for path in sorted({Path(name).resolve() for name in names}):
        try:
            status = path.stat()
        except OSError:
            continue
        is_old = time.time() - status.st_ctime > _OLD_S
        if stat.S_ISSOCK(status.st_mode) and is_old and os.access(path, os.W_OK):
            yield path
