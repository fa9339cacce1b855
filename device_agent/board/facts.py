"""What the board is: what decides which runtime can be loaded on it.

`kedge target check` runs this module, and those that it imports, from memory on a board that holds
nothing of ours: they read, and write nothing.
"""

from __future__ import annotations

import glob
import importlib.util
import mmap
import os
import re
import struct
import sys
from typing import Any, Dict, Optional

from device_agent.board.accelerators import find_accelerators
from device_agent.board.board_runtimes import package_version
from device_agent.board.cgroup import read_limits
from device_agent.board.cpu import read_cpu
from device_agent.board.pseudo_files import text_of
from device_agent.board.system import read_system

#: Words that only an x86 kernel writes into cpuinfo; beside an ARM userland they tell of emulation.
_X86_CPUINFO = ("GenuineIntel", "AuthenticAMD", "vendor_id")

#: Packages that the board may already have.
_PACKAGES = ("numpy", "ai_edge_litert", "tflite_runtime")

_LIBSTDCXX_PATTERNS = (
    "usr/lib/*-linux-gnu*/libstdc++.so.6",
    "lib/*-linux-gnu*/libstdc++.so.6",
    "usr/lib64/libstdc++.so.6",
    "usr/lib/libstdc++.so.6",
    "lib/libstdc++.so.6",
)


def read_facts(root: str = "/") -> Dict[str, Any]:
    """Read what the board is.

    Args:
        root: Folder that holds `dev/`, `etc/`, `proc/`, `sys/` and `usr/`.
    """
    cpuinfo = text_of(root, "proc/cpuinfo")
    machine = userland(os.uname().machine, struct.calcsize("P") * 8)
    compatible = text_of(root, "proc/device-tree/compatible")
    facts = {
        "machine": machine,
        "kernel": os.uname().release,
        "kernel_machine": os.uname().machine,
        "python": "{}.{}.{}".format(*sys.version_info[:3]),
        "python_executable": sys.executable,
        "cores": _core_count(),
        "page_bytes": os.sysconf("SC_PAGE_SIZE"),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "model": text_of(root, "proc/device-tree/model") or _cpu_model(cpuinfo),
        "compatible": [name for name in compatible.split("\0") if name],
        "emulated": is_emulated(machine, cpuinfo),
        "accelerators": find_accelerators(root),
        "installed": installed_packages(),
    }
    return dict(
        facts,
        **python_build(),
        **_libstdcxx(root),
        **read_cpu(root),
        **read_system(root),
        **read_limits(root),
    )


def python_build() -> Dict[str, str]:
    """What decides, beside the version, which wheels this Python takes.

    Returns:
        `implementation` (such as `cpython`, `pypy`), and `abi_flags`: `t` is a free-threaded build,
        `d` a debug build.
    """
    return {
        "implementation": sys.implementation.name,
        "abi_flags": getattr(sys, "abiflags", ""),
    }


def userland(machine: str, pointer_bits: int) -> str:
    """Name the architecture that programs see; a 64-bit kernel may carry a 32-bit userland."""
    if pointer_bits == 32 and machine in ("aarch64", "armv8l"):
        return "armv7l"
    return "i686" if pointer_bits == 32 and machine == "x86_64" else machine


def is_emulated(machine: str, cpuinfo: str) -> bool:
    """Tell an ARM userland that runs on an x86 CPU, where a latency means nothing."""
    return machine.startswith(("arm", "aarch")) and any(word in cpuinfo for word in _X86_CPUINFO)


def installed_packages() -> Dict[str, Optional[str]]:
    """The versions of the packages that matter which this Python has; `None` where it has none."""
    return {name: _installed_version(name) for name in _PACKAGES}


def _cpu_model(cpuinfo: str) -> str:
    found = re.search(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    return found.group(1) if found else ""


def _core_count() -> int:
    try:
        return len(os.sched_getaffinity(0))
    except (AttributeError, OSError):  # PyPy has no such function
        return os.cpu_count() or 0


def _libstdcxx(root: str) -> Dict[str, str]:
    """What the loader takes for libstdc++: `LD_LIBRARY_PATH` comes before the system's folders.

    Returns:
        `glibcxx`, its newest symbol version, such as `3.4.30` (empty without one), and
        `glibcxx_path`, its path where it comes from `LD_LIBRARY_PATH`, else empty.
    """
    for folder in filter(None, os.environ.get("LD_LIBRARY_PATH", "").split(":")):
        path = os.path.join(root, folder.lstrip("/"), "libstdc++.so.6")
        newest = _glibcxx(path)
        if newest:
            return {"glibcxx": newest, "glibcxx_path": os.path.join(folder, "libstdc++.so.6")}
    for pattern in _LIBSTDCXX_PATTERNS:
        for path in glob.glob(os.path.join(root, pattern)):
            newest = _glibcxx(path)
            if newest:
                return {"glibcxx": newest, "glibcxx_path": ""}
    return {"glibcxx": "", "glibcxx_path": ""}


def _glibcxx(path: str) -> str:
    """The newest symbol version in a libstdc++; empty for a file that this Python cannot load."""
    try:
        with open(path, "rb") as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        with content:
            if content[:4] == b"\x7fELF" and content[4] != struct.calcsize("P") // 4:
                return ""  # the loader passes over a library of the other word size, too
            minors = re.findall(rb"GLIBCXX_3\.4\.(\d+)", content)
    except (OSError, ValueError):
        return ""
    return "3.4.{}".format(max(int(minor) for minor in minors)) if minors else ""


def _installed_version(package: str) -> Optional[str]:
    """The version of a package that the board's Python has, without importing it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.origin:
        return None
    return package_version(package, os.path.dirname(os.path.dirname(spec.origin)))
