"""What this process, and everybody on the board, used so far: memory and CPU time."""

from __future__ import annotations

import os
import resource


def peak_rss_bytes() -> int:
    """Peak resident memory of this process, since its start or the last `reset_peak`."""
    try:
        with open("/proc/self/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def rss_bytes() -> int:
    """Resident memory of this process now; 0 where the board does not tell.

    Before Linux 6.2 each thread accounts up to 64 pages for itself, so it may be off by that.
    """
    try:
        with open("/proc/self/statm", encoding="ascii") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def reset_peak() -> None:
    """Begin a new peak (Linux 4.0: writing 5 to clear_refs); without it the peak stays the old."""
    try:
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")
    except OSError:
        pass


def busy_cpu_ns(root: str = "/") -> int:
    """CPU time that all programs and the kernel used since boot; 0 where the board does not tell.

    From the first line of `/proc/stat`: all but idle and waiting, in clock ticks of 10 ms.
    """
    try:
        with open(os.path.join(root, "proc/stat"), encoding="ascii") as stat:
            ticks = [int(word) for word in stat.readline().split()[1:]]
    except (OSError, ValueError):
        return 0
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts = (ticks + [0] * 7)[:7]
    busy = user + nice + system + interrupts + soft_interrupts
    return busy * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
