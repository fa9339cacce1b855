"""Errors of a disk on a board: it is full, read-only, or belongs to somebody else."""

from __future__ import annotations

from device_agent.contract.codes import LIMIT, NO_SPACE, READ_ONLY, STORAGE
from targets.errors import TargetError

_DELETE = (
    "Free some space on the board: delete files there that nothing needs (`du -xk / | sort -n` "
    "shows the large ones)."
)

#: Words of programs, such as `cat` and `mkdir`, by the code that they stand for, and the next step.
_WORDS = (
    ("No space left on device", NO_SPACE, _DELETE),
    ("quota exceeded", NO_SPACE, _DELETE),
    ("Read-only file system", READ_ONLY, ""),
    ("Permission denied", READ_ONLY, ""),
    ("Operation not permitted", READ_ONLY, ""),
    (
        "Input/output error",
        STORAGE,
        "Look at `dmesg` on the board: its card or disk may have to be replaced.",
    ),
    # of the shell for SIGXFSZ
    (
        "size limit",
        LIMIT,
        "Raise the login's limit on the size of a file (`ulimit -f` shows it).",
    ),
)

_MEANINGS = {NO_SPACE: "its disk is full", READ_ONLY: "its disk cannot be written"}


class BoardDiskError(TargetError):
    """The board's file system is full or cannot be written, or others may change kedge's folder."""

    def __init__(self, message: str, hint: str, code: str) -> None:
        super().__init__(message, hint)
        self.code = code
        """One of `device_agent.contract.codes`; decide by it."""


def disk_error(name: str, code: str, message: str, hint: str = "") -> BoardDiskError:
    """Return the error of a board whose disk takes nothing; all commands use the same words.

    Args:
        name: Name of the target.
        code: Code of the refusal, one of `device_agent.contract.codes`.
        message: Details, such as the path and the number of bytes that are free.
        hint: Next step on the board itself; empty for none.
    """
    meaning = _MEANINGS.get(code)
    if meaning is None:
        return BoardDiskError(f"{name}: {message}", hint, code)
    other = f"kedge target set {name} root=FOLDER"
    step = (
        f"{hint or _DELETE} Or name a folder on another disk: {other}"
        if code == NO_SPACE
        else f"Name a folder on the board that can be written: {other}"
    )
    return BoardDiskError(f"{name}: {meaning}: {message}", step, code)


def disk_error_of_words(name: str, what: str, words: str) -> BoardDiskError | None:
    """Return the error for the words of a program that failed on a board; `None` for other words.

    Args:
        name: Name of the target.
        what: Failure in words, such as `it did not take the agent`.
        words: Words of the program, in English.
    """
    for part, code, hint in _WORDS:
        if part.lower() in words.lower():
            return disk_error(name, code, f"{what} ({words})", hint)
    return None
