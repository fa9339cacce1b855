"""Turns the operating system's refusals into codes that a host can act on."""

from __future__ import annotations

import contextlib
import errno
from typing import Iterator

from device_agent.contract.codes import NO_SPACE, READ_ONLY, RefusalError


@contextlib.contextmanager
def named_os_errors() -> Iterator[None]:
    """Name a full and a read-only file system; every other error passes through.

    Raises:
        RefusalError: The file system is full, or this user may not write to it.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            hint = "Free some space on the board, then try again."
            raise RefusalError(NO_SPACE, str(error), hint) from error
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            hint = "Name a writable folder as `root` of this target in kedge.toml."
            raise RefusalError(READ_ONLY, str(error), hint) from error
        raise
