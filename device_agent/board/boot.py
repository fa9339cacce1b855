"""The boot of the board and its clocks, read by nothing else of the releases.

The clock that counts since the boot also counts while the board sleeps, and nobody can set it. The
clock of the wall may say anything: many boards have no battery for it.
"""

from __future__ import annotations

import time

from device_agent.board.pseudo_files import text_of


def boot_id(root: str = "/") -> str:
    """Another one after each start of the board; empty where it does not tell."""
    return text_of(root, "proc/sys/kernel/random/boot_id")


def since_boot_s() -> float:
    """Return seconds since the board started."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def wall_clock_s() -> float:
    """Return seconds since 1970, as the board believes."""
    return time.time()
