"""Names the machine that a table was measured on."""

from __future__ import annotations

import os
import platform
import re
from datetime import date
from pathlib import Path


def machine() -> str:
    """Return one line: CPU, cores, memory, system, date."""
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    cpu = re.search(r"model name\s*:\s*(.+)", cpuinfo)
    flags = re.search(r"flags\s*:\s*(.+)", cpuinfo)
    vnni = "with VNNI" if flags and "vnni" in flags[1] else "without VNNI"
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"Machine: {cpu[1] if cpu else platform.machine()} ({vnni}), {os.cpu_count()} cores, "
        f"{memory:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}, "
        f"{date.today().isoformat()}."
    )
