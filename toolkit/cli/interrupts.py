"""Ctrl-C: quiet while modules are imported, an exception for the commands."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from toolkit.report.exit_code import EXIT_INTERRUPTED

#: Message of a command that Ctrl-C ended.
INTERRUPTED = "\ninterrupted; an unfinished file is never used as a finished one"

#: Seconds after Ctrl-C in which another error counts as its effect: compiled modules that are
#: interrupted while they are imported raise errors of their own.
_EFFECT_S = 2.0

_interrupt_times: list[float] = []


def exit_at_once() -> None:
    """Let Ctrl-C end the process from now on, with one line and exit code 130."""
    _handle(_exit)


def raise_from_now() -> None:
    """Let Ctrl-C raise `KeyboardInterrupt` from now on."""
    _handle(_raise)


@contextmanager
def count_from_now() -> Iterator[Callable[[], int]]:
    """Count the first Ctrl-C while the block runs, and let the second one raise.

    Returns:
        Function that returns how often Ctrl-C was pressed.
    """
    count = 0

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal count
        count += 1
        if count > 1:
            _raise(number, frame)
        os.write(2, b"\npauses as soon as no board is on trial; Ctrl-C again ends at once\n")

    _handle(note)
    try:
        yield lambda: count
    finally:
        raise_from_now()


def is_effect_of_interrupt() -> bool:
    """Whether Ctrl-C was pressed so recently that an error now is its effect."""
    return bool(_interrupt_times) and time.monotonic() - _interrupt_times[-1] < _EFFECT_S


def _handle(handler: object) -> None:
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # a shell ignores it for `command &`
        signal.signal(signal.SIGINT, handler)  # type: ignore[arg-type]


def _exit(_: int, __: FrameType | None) -> None:
    os.write(2, INTERRUPTED.encode() + b"\n")
    os._exit(EXIT_INTERRUPTED)


def _raise(number: int, frame: FrameType | None) -> None:
    _interrupt_times.append(time.monotonic())
    signal.default_int_handler(number, frame)
