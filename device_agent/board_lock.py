"""One inference process at a time on a board, whoever started it: two would measure each other.

The reservation of a root keeps out other hosts that use this root. This lock keeps out other roots,
also those of other users. It is an abstract Unix socket: it belongs to no user, leaves no file, and
ends with the process that holds it. A container with a network of its own has a lock of its own.
"""

from __future__ import annotations

import contextlib
import errno
import time
from typing import Any, Callable, Iterator, List

from device_agent.contract.codes import BUSY, RefusalError

#: Longest wait for the inference process of another root; a soak takes longer.
WAIT_S = 600.0

_NAME = "kedge-board"
_POLL_S = 0.02

#: Seconds between two events to a waiting host, which also show whether it is still connected.
_REPORT_EVERY_S = 0.5

_MOST_NAME = 80


@contextlib.contextmanager
def alone_on_board(
    who: str, on_wait: Callable[[str], None], wait_s: float = WAIT_S, name: str = _NAME
) -> Iterator[None]:
    """Keep other roots from starting an inference process while the block runs.

    A system without abstract sockets has no such lock.

    Args:
        who: Name of this host, for others that wait.
        on_wait: Called with the name of the other host, again and again; may raise to give up.
        wait_s: Longest wait.
        name: Name of the lock.

    Raises:
        RefusalError: Another host still measures after `wait_s`.
    """
    sockets: List[Any] = []
    try:
        _await(sockets, name, on_wait, wait_s)
        _bind(sockets, "{}:{}".format(name, _printable(who)))  # only for others to read
        yield
    finally:
        for each in sockets:
            each.close()


def _await(sockets: List[Any], name: str, on_wait: Callable[[str], None], wait_s: float) -> None:
    began = time.monotonic()
    reported = 0.0
    while not _bind(sockets, name):
        now = time.monotonic()
        if now - began >= wait_s:
            message = "{} is measuring on this board, from another root folder".format(holder(name))
            raise RefusalError(BUSY, message, "Wait until it is done, then try again.")
        if now - reported > _REPORT_EVERY_S:
            reported = now
            on_wait(holder(name))
        time.sleep(_POLL_S)


def _bind(sockets: List[Any], name: str) -> bool:
    """Bind an abstract socket; return whether nobody else has the name."""
    import _socket  # the part in C: `socket` itself takes a megabyte

    try:
        bound = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    except OSError:
        return True
    try:
        bound.bind(b"\0" + name.encode("ascii"))
    except OSError as error:
        bound.close()
        return error.errno != errno.EADDRINUSE
    sockets.append(bound)
    return True


def holder(name: str = _NAME) -> str:
    """Return the name of the host that has the lock, as it says."""
    with contextlib.suppress(OSError), open("/proc/net/unix", errors="replace") as file:
        for line in file:
            who = line.rstrip("\n").partition("@{}:".format(name))[2]
            if who:
                return _printable(who)
    return "another user"


def _printable(text: str) -> str:
    return "".join(sign if " " <= sign <= "~" else "?" for sign in text)[:_MOST_NAME]
