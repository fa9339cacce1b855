"""What the board is doing at this moment, read from its pseudo file systems without root.

Everything is optional: a file that is missing or unreadable leaves its field empty. `root` is the
place of `/proc` and `/sys`, so that a test can hand in a tree of another board.
"""

from __future__ import annotations

import glob
import os
import re
import subprocess
from typing import Dict, List, Optional

from device_agent.contract.measurement import Conditions

_VCGENCMD_TIMEOUT_S = 2.0

#: Three averages, then how many tasks run, of how many.
_LOAD = re.compile(r"([0-9.]+[0-9]) [0-9.]+ [0-9.]+ ([0-9]+)/")
_COUNT = re.compile(r"[0-9]{1,18}\Z")
_THROTTLED = re.compile(r"throttled=0x([0-9a-fA-F]{1,8})\Z")


def read_conditions(root: str = "/") -> Conditions:
    """Read the conditions of now.

    Args:
        root: Where `proc/` and `sys/` are.
    """
    load = _LOAD.match(_text(root, "proc/loadavg") or "")
    memory = _meminfo(root)
    swap_used = None
    if "SwapTotal" in memory and "SwapFree" in memory:
        swap_used = memory["SwapTotal"] - memory["SwapFree"]
    cpus = "sys/devices/system/cpu/cpu[0-9]*/cpufreq/"
    return Conditions(
        load_1min=float(load.group(1)) if load else None,
        running_tasks=int(load.group(2)) if load else None,
        memory_available_bytes=memory.get("MemAvailable"),
        swap_used_bytes=swap_used,
        governors=sorted(set(_texts(root, cpus + "scaling_governor").values())),
        frequency_khz=_integers(root, cpus + "scaling_cur_freq"),
        max_frequency_khz=_integers(root, cpus + "scaling_max_freq"),
        temperature_celsius=_temperatures(root),
        throttled=_throttled(),
    )


def _text(root: str, path: str) -> Optional[str]:
    try:
        with open(os.path.join(root, path), encoding="utf-8", errors="replace") as file:
            return file.read().strip("\0\n ")
    except OSError:
        return None


def _texts(root: str, pattern: str) -> Dict[str, str]:
    found = {}
    for path in sorted(glob.glob(os.path.join(root, pattern))):
        text = _text(root, path)
        if text:
            found[_cpu_name(path)] = text
    return found


def _cpu_name(path: str) -> str:
    return next(
        (part for part in path.split("/") if part[:3] == "cpu" and part[3:].isdigit()), path
    )


def _integers(root: str, pattern: str) -> Dict[str, int]:
    texts = _texts(root, pattern)
    return {name: int(text) for name, text in texts.items() if _COUNT.match(text)}


def _meminfo(root: str) -> Dict[str, int]:
    """`/proc/meminfo` in bytes; the file itself says kB and means KiB."""
    sizes = {}
    for line in (_text(root, "proc/meminfo") or "").splitlines():
        words = line.replace(":", " ").split()
        if len(words) >= 2 and _COUNT.match(words[1]):
            sizes[words[0]] = int(words[1]) * 1024
    return sizes


def _temperatures(root: str) -> Dict[str, float]:
    """Zone name to degrees; the kernel reports thousandths. Zones of one name are numbered."""
    found = {}
    for zone in sorted(glob.glob(os.path.join(root, "sys/class/thermal/thermal_zone*"))):
        name = _text(root, os.path.join(zone, "type")) or os.path.basename(zone)
        if name in found:
            name = "{}-{}".format(name, os.path.basename(zone)[len("thermal_zone") :])
        try:
            found[name] = int(_text(root, os.path.join(zone, "temp")) or "") / 1000.0
        except ValueError:
            continue
    return found


def _throttled() -> Optional[int]:
    """Ask a Raspberry Pi's firmware; every other board has no such program."""
    answer = _THROTTLED.match(_first_line(["vcgencmd", "get_throttled"]))
    return int(answer.group(1), 16) if answer else None


def _first_line(command: List[str]) -> str:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_VCGENCMD_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("ascii", "replace").strip()
