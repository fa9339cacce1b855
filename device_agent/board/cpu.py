"""The cores of a board: their kind, in which classes they come, and what they can compute."""

from __future__ import annotations

import glob
import os
import re
from typing import Any, Dict, List, Tuple

from device_agent.board.pseudo_files import text_of
from device_agent.contract.cpu_features import cpu_features

#: (implementer, part) of the main identification register, to the core's name. Sources: Linux
#: `arch/arm64/include/asm/cputype.h`, and the technical reference manuals of the 32-bit cores.
CORE_NAMES = {
    ("0x41", "0xb76"): "ARM1176",
    ("0x41", "0xc07"): "Cortex-A7",
    ("0x41", "0xc08"): "Cortex-A8",
    ("0x41", "0xc09"): "Cortex-A9",
    ("0x41", "0xc0e"): "Cortex-A17",
    ("0x41", "0xc0f"): "Cortex-A15",
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd04"): "Cortex-A35",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd09"): "Cortex-A73",
    ("0x41", "0xd0a"): "Cortex-A75",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd41"): "Cortex-A78",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x41", "0xd44"): "Cortex-X1",
    ("0x4e", "0x003"): "Denver 2",
    ("0x4e", "0x004"): "Carmel",
}


def read_cpu(root: str) -> Dict[str, Any]:
    """Read the cores.

    Args:
        root: Folder that holds `proc/` and `sys/`.

    Returns:
        `cpu_features` (those of the first core that reports any; on 64-bit ARM, `asimd` stands for
        NEON) and `core_classes`: one entry for each kind of core, the strongest first, with `name`,
        `implementer`, `part`, `cores` (their numbers), `max_khz` and `capacity` (0 is unknown).
    """
    cpuinfo = text_of(root, "proc/cpuinfo")
    return {"cpu_features": cpu_features(cpuinfo), "core_classes": _classes(root, cpuinfo)}


def _classes(root: str, cpuinfo: str) -> List[Dict[str, Any]]:
    classes: Dict[Tuple[str, str, int, int], List[int]] = {}
    for number, (implementer, part) in sorted(_identities(root, cpuinfo).items()):
        folder = "sys/devices/system/cpu/cpu{}/".format(number)
        most = _count(text_of(root, folder + "cpufreq/cpuinfo_max_freq"))
        capacity = _count(text_of(root, folder + "cpu_capacity"))
        classes.setdefault((implementer, part, most, capacity), []).append(number)
    found = [
        {
            "name": CORE_NAMES.get((implementer, part), ""),
            "implementer": implementer,
            "part": part,
            "cores": cores,
            "max_khz": most,
            "capacity": capacity,
        }
        for (implementer, part, most, capacity), cores in classes.items()
    ]
    return sorted(found, key=lambda entry: (-entry["capacity"], -entry["max_khz"]))


def _identities(root: str, cpuinfo: str) -> Dict[int, Tuple[str, str]]:
    """Core number to (implementer, part); old 32-bit kernels tell them once, for all cores."""
    cores: Dict[int, Tuple[str, str]] = {}
    once = _identity(cpuinfo)
    for block in re.split(r"\n(?=processor\s*:)", cpuinfo):
        number = re.match(r"processor\s*:\s*([0-9]{1,4})$", block, re.MULTILINE)
        if number:
            own = _identity(block)
            cores[int(number.group(1))] = own if own != ("", "") else once
    if not cores:  # no cpuinfo: the kernel's folders still tell how many there are
        for path in glob.glob(os.path.join(root, "sys/devices/system/cpu/cpu[0-9]*")):
            cores[int(re.sub("[^0-9]", "", os.path.basename(path)) or 0)] = ("", "")
    return cores


def _identity(block: str) -> Tuple[str, str]:
    found = [
        re.search(r"^CPU {}\s*:\s*(0x[0-9a-f]+)\s*$".format(name), block, re.MULTILINE)
        for name in ("implementer", "part")
    ]
    implementer, part = (match.group(1) if match else "" for match in found)
    return implementer, part


def _count(text: str) -> int:
    return int(text) if re.match(r"[0-9]{1,12}\Z", text) else 0
