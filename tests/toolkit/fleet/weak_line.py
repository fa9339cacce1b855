"""A line to a server that fails in the middle of a rollout, in one of the ways of real lines."""

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Iterator

from tests.targets.loopback import listening

CLEAR = "clear"
#: The connection ends, and every new one, too.
CUT = "cut"
#: Nothing passes, and the connection stays open.
SILENT = "silent"
#: One byte a second comes from the board.
SLOW = "slow"
#: Data from the board never ends.
ENDLESS = "endless"
FAILURES = (CUT, SILENT, SLOW, ENDLESS)


class WeakLine:
    """A relay to a port of this computer. `state` may change at any time."""

    def __init__(self, server_port: int) -> None:
        self.state = CLEAR
        self._server_port = server_port

    def carry(self, near: socket.socket) -> None:
        """Relay one connection until an end is closed."""
        with contextlib.suppress(OSError, ValueError):
            with socket.create_connection(("127.0.0.1", self._server_port)) as far:
                while self._carry_some(near, far):
                    pass
            near.shutdown(socket.SHUT_RDWR)

    def _carry_some(self, near: socket.socket, far: socket.socket) -> bool:
        """Relay what there is; return whether both ends are still open."""
        if self.state == CUT:
            return False
        if self.state == ENDLESS:
            near.sendall(os.urandom(1 << 16))
            return True
        for end in select.select([near, far], [], [], 0.2)[0]:
            data = end.recv(1 << 16)
            if not data:
                return False
            if self.state == CLEAR or (self.state == SLOW and end is near):
                (far if end is near else near).sendall(data)
            elif self.state == SLOW:
                for byte in data:
                    if self.state == SLOW:
                        time.sleep(1)
                    near.sendall(bytes([byte]))
        return True


@contextlib.contextmanager
def weak_line(server_port: int) -> Iterator[tuple[WeakLine, int]]:
    """Start a line; give it and its port."""
    line = WeakLine(server_port)

    def answer(near: socket.socket) -> None:
        threading.Thread(target=line.carry, args=(near,), daemon=True).start()

    with listening(answer) as port:
        yield line, port
