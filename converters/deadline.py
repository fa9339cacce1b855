"""Deadlines of what cannot be interrupted, such as the loop of a model that does not end.

The process of a conversion works for a parent: past a deadline a thread of it answers the error,
and ends the process. A process that works for nobody has no deadlines; Ctrl-C ends it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from converters.errors import ConversionError

#: Longest time in seconds for the answer to one sample on this host.
LONGEST_SAMPLE_S = 120.0

#: Function that answers an error and ends the process.
EndWith = Callable[[ConversionError], None]


class _Process:
    """This process; one that converts for another one sets `end_with`."""

    end_with: EndWith | None = None


watched = _Process()


class Deadline:
    """Deadline of calls that may never return; a context manager around all of them."""

    def __init__(self, error: ConversionError) -> None:
        """Begin without a deadline.

        Args:
            error: Error that the process answers when a call is not back in time.
        """
        self._error = error
        self._end_with = watched.end_with
        self._end = float("inf")
        self._is_over = threading.Event()
        self._watch: threading.Thread | None = None

    @property
    def has_parent(self) -> bool:
        """Whether the process works for a parent, so that deadlines count."""
        return self._end_with is not None

    def __enter__(self) -> Deadline:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()

    def set(self, seconds: float) -> None:
        """Set the deadline of the next call, in the place of the one before.

        Args:
            seconds: Seconds from now.
        """
        if self._end_with is None:
            return
        self._end = time.monotonic() + seconds
        if self._watch is None:
            self._watch = threading.Thread(target=self._wait, daemon=True)
            self._watch.start()

    def _wait(self) -> None:
        assert self._end_with is not None
        while (rest := self._end - time.monotonic()) > 0:
            if self._is_over.wait(rest):
                return
        if not self._is_over.is_set():
            self._end_with(self._error)


def endless_sample(what: str, seconds: float) -> ConversionError:
    """The error to answer when a model is at work on a sample for too long.

    Args:
        what: Model, for the message.
        seconds: Longest time that it was given.
    """
    return ConversionError(
        f"{what}: this host did not answer one sample within {seconds:.0f} s",
        "Use a smaller model, or one whose loops end.",
    )
