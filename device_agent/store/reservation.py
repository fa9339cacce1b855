"""One host at a time: two benchmarks on one board would measure each other.

The reservation is a lock on a file, so it ends with the agent that holds it, however that ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import Callable, Optional

from device_agent.contract.codes import BUSY, RefusalError
from device_agent.os_errors import named_os_errors
from device_agent.store.durable import open_file

#: Seconds between two events to a waiting host, which also show whether it is still connected.
_ASK_AGAIN_S = 0.5


class Reservation:
    """The right to run jobs on this board."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock: Optional[int] = None
        self.who = ""
        """Name of the host that has it in this session."""

    @property
    def is_held(self) -> bool:
        """Whether this session has it: no other runs a job meanwhile."""
        return self._lock is not None

    def take(self, who: str, timeout_s: float, on_wait: Callable[[str], None]) -> None:
        """Take the reservation and keep it until this process ends.

        Args:
            who: Names the host to others that wait.
            timeout_s: Wait so long for another host.
            on_wait: Called with the other host's name, again and again; may raise to give up.

        Raises:
            RefusalError: Another host still holds it.
        """
        if self._lock is not None:
            return
        with named_os_errors():
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            lock = open_file(self._path, os.O_RDWR | os.O_CREAT)
            try:
                self._await(lock, timeout_s, on_wait)
                os.ftruncate(lock, 0)
                os.pwrite(lock, json.dumps({"who": who}).encode("ascii"), 0)
            except BaseException:
                os.close(lock)
                raise
        self._lock, self.who = lock, who

    def _await(self, lock: int, timeout_s: float, on_wait: Callable[[str], None]) -> None:
        deadline = time.monotonic() + timeout_s
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except OSError:
                other = _holder(lock)
            if time.monotonic() >= deadline:
                hint = "Wait until it is done, then try again."
                raise RefusalError(BUSY, "{} is using this board".format(other), hint)
            on_wait(other)
            time.sleep(_ASK_AGAIN_S)


def _holder(lock: int) -> str:
    try:
        return str(json.loads(os.pread(lock, 1000, 0).decode("ascii"))["who"])
    except (ValueError, KeyError, TypeError):  # it is writing its name just now
        return "another host"
