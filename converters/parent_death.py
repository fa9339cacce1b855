"""End of a process whose parent is gone: a model that loops would else run for ever."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal

#: Option of prctl(2); where the system is not Linux, the process ends when its work does.
_PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """Have the kernel end this process when its parent ends, even by SIGKILL.

    Args:
        parent: Process id of the parent, which may have ended before this call.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
