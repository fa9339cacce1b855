"""Reads small files that a user names, whatever they are: a pipe is not waited for without end."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

#: Longest time in seconds that a pipe, such as `<(command)`, may take.
LONGEST_PIPE_S = 10.0
_ASK_AGAIN_S = 0.02


def read_file(path: Path, most_bytes: int) -> bytes:
    """Read a file from its beginning, without waiting for a pipe for long.

    Args:
        path: The file.
        most_bytes: Largest number of bytes that are read.

    Raises:
        OSError: It cannot be read, or nobody has written a pipe to its end in time.
    """
    end, content = time.monotonic() + LONGEST_PIPE_S, bytearray()
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        is_pipe = path.is_fifo()
        while len(content) < most_bytes:
            data = _read_now(handle, most_bytes - len(content))
            if data:
                content += data
            elif data is not None and (content or not is_pipe):
                break
            elif time.monotonic() > end:  # a pipe that nobody has written into is at its end, too
                reason = f"nobody wrote it within {LONGEST_PIPE_S:.0f} s"
                raise OSError(errno.ETIMEDOUT, reason, str(path))
            else:
                time.sleep(_ASK_AGAIN_S)
    finally:
        os.close(handle)
    return bytes(content)


def _read_now(handle: int, most_bytes: int) -> bytes | None:
    """Read what is there; `None` where the writer of a pipe has not written yet."""
    try:
        return os.read(handle, most_bytes)
    except BlockingIOError:
        return None
