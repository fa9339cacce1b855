"""Times in nanoseconds as bytes: unsigned 64-bit little-endian values, one after the other."""

from __future__ import annotations

import sys
from array import array
from typing import Sequence


def pack_times(times_ns: Sequence[int]) -> bytes:
    """Write times as bytes."""
    values = array("Q", times_ns)  # a copy, as its bytes may be swapped
    if sys.byteorder == "big":
        values.byteswap()
    return values.tobytes()


def unpack_times(data: bytes) -> "array[int]":
    """Read times from bytes.

    Raises:
        ValueError: The number of bytes is no multiple of eight: the data is not whole.
    """
    values = array("Q")
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values
