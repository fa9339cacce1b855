"""The lease of the controller: one process at a time drives the rollouts of a project.

The system gives the lock back when a process ends, however it ends, so nobody waits for a dead one.
The epoch in the journal fences off a controller that runs from a copy of the project.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from toolkit.fleet.journal_file import JournalError, LeaseError

#: Longest text about the holder of the lock that is read.
_MOST_BYTES = 200


@contextmanager
def hold_lease(journal: Path, who: str) -> Iterator[None]:
    """Hold the lock of the controller.

    Args:
        journal: File of the journal; the lock lies beside it.
        who: Person and program that hold it, for the message to others.

    Raises:
        LeaseError: Another process holds it.
        JournalError: The lock cannot be opened.
    """
    path = journal.with_name(f"{journal.name}-lease")
    try:
        path.parent.mkdir(exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise JournalError(
            f"cannot lock {path}: {error.strerror}", "Make its folder writable for you."
        ) from error
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(handle, _MOST_BYTES, 0).decode("utf-8", "replace").strip()
            clean = "".join(char if char.isprintable() else "?" for char in holder)
            raise LeaseError(
                f"another controller runs already: {clean or 'unknown'}",
                "Wait until it is done; kedge fleet status shows how far it is.",
            ) from error
        with suppress(OSError):  # a full disk: the lock holds all the same
            text = f"{who}, process {os.getpid()}".encode("utf-8", "replace")[:_MOST_BYTES]
            os.pwrite(handle, text.ljust(_MOST_BYTES), 0)
        yield
    finally:
        os.close(handle)


def is_lease_free(journal: Path) -> bool:
    """Whether no process of this computer holds the lock of the controller, by /proc/locks.

    The lock is not tried: a controller that begins at this moment would be refused.

    Args:
        journal: File of the journal; the lock lies beside it.

    Returns:
        False also where the system does not say it.
    """
    try:
        inode = journal.with_name(f"{journal.name}-lease").stat().st_ino
        locks = Path("/proc/locks").read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return False
    return not any(
        fields[1] == "FLOCK" and fields[5].endswith(f":{inode}")
        for fields in map(str.split, locks.splitlines())
        if len(fields) > 5
    )
