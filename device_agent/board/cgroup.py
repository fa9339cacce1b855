"""Limits that the control group of this process has: of CPU time, and of memory.

A group and all groups above it count. In a container the path that `/proc` names may lie outside of
what is mounted there; then the mount itself is the group.
"""

from __future__ import annotations

import os
import re
from typing import Dict, Iterator, List, Optional, Tuple

from device_agent.board.pseudo_files import text_of

#: Controllers of version 1, and the folders under which distributions mount them; without a name
#: the folders of version 2, alone or beside version 1.
_MOUNTS: Dict[str, Tuple[str, ...]] = {
    "": ("sys/fs/cgroup", "sys/fs/cgroup/unified"),
    "cpu": ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct", "sys/fs/cgroup/cpuacct,cpu"),
    "memory": ("sys/fs/cgroup/memory",),
}

#: Version 1 writes the largest whole number of pages where there is no limit.
_NO_LIMIT_BYTES = 1 << 62

_COUNT = re.compile(r"[0-9]{1,19}\Z")
_THROTTLED = re.compile(r"^nr_throttled ([0-9]{1,18})$", re.MULTILINE)


def read_limits(root: str = "/") -> Dict[str, float]:
    """Return `cpu_quota`, the number of cores whose time may be used, and `memory_limit_bytes`.

    A limit that does not exist, or that the board does not report, is 0.

    Args:
        root: Folder that holds `proc/` and `sys/`.
    """
    quotas = [_quota(root, folder) for folder in _groups(root, "cpu")]
    sizes = [_memory_limit(root, folder) for folder in _groups(root, "memory")]
    return {
        "cpu_quota": min((quota for quota in quotas if quota), default=0.0),
        "memory_limit_bytes": min((size for size in sizes if size), default=0),
    }


def throttled_periods(root: str = "/") -> Optional[int]:
    """Return in how many periods a quota stopped this process's groups since they exist.

    `None` where no group counts them.
    """
    counts = []
    for folder in _groups(root, "cpu"):
        match = _THROTTLED.search(text_of(root, os.path.join(folder, "cpu.stat")))
        if match:
            counts.append(int(match.group(1)))
    return sum(counts) if counts else None


def _groups(root: str, controller: str) -> List[str]:
    """Return the folders of the group of this process and of those above it, below `root`."""
    folders: List[str] = []
    for line in text_of(root, "proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        names, _, path = rest.partition(":")
        if not names:
            mounts = _MOUNTS[""]
        elif controller in names.split(","):
            mounts = _MOUNTS[controller]
        else:
            continue
        for mount in mounts:
            folders += [folder for folder in _upwards(mount, path) if folder not in folders]
    return [folder for folder in folders if os.path.isdir(os.path.join(root, folder))]


def _upwards(mount: str, path: str) -> Iterator[str]:
    names = [name for name in path.split("/") if name not in ("", ".", "..")]
    for count in range(len(names), -1, -1):
        yield "/".join([mount] + names[:count])


def _quota(root: str, folder: str) -> float:
    words = text_of(root, os.path.join(folder, "cpu.max")).split()  # version 2: `25000 100000`
    if not words:
        names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
        words = [text_of(root, os.path.join(folder, name)) for name in names]
    if len(words) != 2 or not all(_COUNT.match(word) for word in words) or not int(words[1]):
        return 0.0
    return int(words[0]) / int(words[1])


def _memory_limit(root: str, folder: str) -> int:
    for name in ("memory.max", "memory.limit_in_bytes"):
        text = text_of(root, os.path.join(folder, name))
        if _COUNT.match(text) and int(text) < _NO_LIMIT_BYTES:
            return int(text)
    return 0
