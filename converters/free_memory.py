"""Gives freed memory back to the operating system, where the C library can do that."""

from __future__ import annotations

import ctypes
import gc


def return_free_memory() -> None:
    """Let the process shrink to what it holds: a parsed model of many tensors leaves holes."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):  # another C library than glibc
        return
