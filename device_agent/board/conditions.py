"""What the board is doing at this moment, read from its pseudo file systems without root.

Everything is optional: a file that is missing or unreadable leaves its field empty. `root` is the
place of `/proc` and `/sys`, so that a test can hand in a tree of another board.
"""

from __future__ import annotations

import glob
import os
import re
import time
from typing import Dict, List, Optional

from device_agent.board.accelerators import edgetpu_sticks
from device_agent.board.boot import boot_id
from device_agent.board.cgroup import throttled_periods
from device_agent.board.heat import cooling_of, temperatures_of, trips_of
from device_agent.board.power import power_of
from device_agent.board.pseudo_files import text_of
from device_agent.contract.conditions import Conditions

_VCGENCMD_TIMEOUT_S = 2.0

#: Three averages, then how many tasks run, of how many.
_LOAD = re.compile(r"([0-9.]+[0-9]) [0-9.]+ [0-9.]+ ([0-9]+)/")
_COUNT = re.compile(r"[0-9]{1,18}\Z")
_THROTTLED = re.compile(r"throttled=0x([0-9a-fA-F]{1,8})\Z")
_OOM_KILLS = re.compile(r"^oom_kill ([0-9]{1,18})$", re.MULTILINE)


def read_conditions(root: str = "/", moment: str = "", ask_firmware: bool = True) -> Conditions:
    """Read the conditions of now.

    Args:
        root: Folder that holds `proc/` and `sys/`.
        moment: Moment of the run, as `Conditions.moment` lists them.
        ask_firmware: Whether to start the program that asks a Raspberry Pi's firmware, which takes
            some milliseconds.
    """
    load = _LOAD.match(text_of(root, "proc/loadavg"))
    memory = _meminfo(root)
    oom_kills = _OOM_KILLS.search(text_of(root, "proc/vmstat"))
    swap_used = None
    if "SwapTotal" in memory and "SwapFree" in memory:
        swap_used = memory["SwapTotal"] - memory["SwapFree"]
    cpus = "sys/devices/system/cpu/cpu[0-9]*/cpufreq/"
    return Conditions(
        moment=moment,
        clock_ns=time.time_ns(),
        monotonic_ns=time.monotonic_ns(),
        boot_id=boot_id(root),
        load_1min=float(load.group(1)) if load else None,
        running_tasks=int(load.group(2)) if load else None,
        memory_available_bytes=memory.get("MemAvailable"),
        swap_used_bytes=swap_used,
        oom_kills=int(oom_kills.group(1)) if oom_kills else None,
        governors=sorted(set(_texts(root, cpus + "scaling_governor").values())),
        frequency_khz=_integers(root, cpus + "scaling_cur_freq"),
        max_frequency_khz=_integers(root, cpus + "scaling_max_freq"),
        time_in_state=_time_in_state(root),
        temperature_celsius=temperatures_of(root),
        trip_celsius=trips_of(root),
        cooling=cooling_of(root),
        power_mw=power_of(root),
        edgetpu_usb_mbps=_edgetpu_usb_mbps(root),
        throttled=_throttled() if ask_firmware else None,
        quota_periods=throttled_periods(root),
    )


def _texts(root: str, pattern: str) -> Dict[str, str]:
    found = {}
    for path in sorted(glob.glob(os.path.join(root, pattern))):
        text = text_of(root, path)
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


def _time_in_state(root: str) -> Dict[str, Dict[str, int]]:
    found = {}
    for policy in sorted(glob.glob(os.path.join(root, "sys/devices/system/cpu/cpufreq/policy*"))):
        times = {}
        for line in text_of(root, os.path.join(policy, "stats/time_in_state")).splitlines():
            words = line.split()
            if len(words) == 2 and all(_COUNT.match(word) for word in words):
                times[words[0]] = int(words[1])
        if times:
            found[os.path.basename(policy)] = times
    return found


def _meminfo(root: str) -> Dict[str, int]:
    """`/proc/meminfo` in bytes; the file itself says kB and means KiB."""
    sizes = {}
    for line in text_of(root, "proc/meminfo").splitlines():
        words = line.replace(":", " ").split()
        if len(words) >= 2 and _COUNT.match(words[1]):
            sizes[words[0]] = int(words[1]) * 1024
    return sizes


def _edgetpu_usb_mbps(root: str) -> Optional[int]:
    return next((one["usb_mbits"] for one in edgetpu_sticks(root) if one["usb_mbits"]), None)


def _throttled() -> Optional[int]:
    """Ask a Raspberry Pi's firmware; every other board has no such program."""
    folders = os.get_exec_path()
    if not any(os.access(os.path.join(folder, "vcgencmd"), os.X_OK) for folder in folders):
        return None  # a process to learn that takes longer
    answer = _THROTTLED.match(_first_line(["vcgencmd", "get_throttled"]))
    return int(answer.group(1), 16) if answer else None


def _first_line(command: List[str]) -> str:
    import subprocess  # takes long on a slow board, and most boards need it for nothing else

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
