"""Whether a program of the board starts the recovery of releases after a reboot, and can do it.

Only what is seen counts: a running cron and a line that names the recovery of this root folder, or
an enabled unit of systemd that names it.
"""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import re
import subprocess
from typing import List

CRON, SYSTEMD = "cron", "systemd"

_CRON_NAMES = ("cron", "crond", "busybox")
_CRONTAB_TIMEOUT_S = 5.0


def find_recovery(root: str, system: str = "/") -> str:
    """Return what starts the recovery after a reboot: `cron` or `systemd`; empty for nothing.

    Args:
        root: Root folder of kedge.
        system: Folder that holds `etc/`, `proc/` and `var/`.
    """
    if _has_unit(root, system):
        return SYSTEMD
    if _is_cron_running(system) and _has_reboot_line(root, system):
        return CRON
    return ""


def _has_unit(root: str, system: str) -> bool:
    """Whether an enabled unit runs the recovery: the system's, or the user's with lingering."""
    patterns = [os.path.join(system, "etc/systemd/system/*.wants/*.service")]
    try:
        user = pwd.getpwuid(os.geteuid())
    except KeyError:
        user = None
    if user is not None and os.path.exists(
        os.path.join(system, "var/lib/systemd/linger", user.pw_name)
    ):
        home = os.path.join(system, user.pw_dir.lstrip("/"))
        patterns.append(os.path.join(home, ".config/systemd/user/*.wants/*.service"))
    is_booted = os.path.isdir(os.path.join(system, "run/systemd/system"))
    paths = [path for pattern in patterns for path in glob.glob(pattern)]
    return is_booted and any(_names_recovery(_lines(path), root) for path in paths)


def _has_reboot_line(root: str, system: str) -> bool:
    paths = [os.path.join(system, "etc/crontab"), *glob.glob(os.path.join(system, "etc/cron.d/*"))]
    lines = [line for path in paths for line in _lines(path)] + _own_crontab()
    return _names_recovery([line for line in lines if line.lstrip().startswith("@reboot")], root)


def _names_recovery(lines: List[str], root: str) -> bool:
    """Whether a line that is no comment ends with the recovery of a root folder."""
    home = os.path.expanduser("~")
    short = "~" + root[len(home) :] if root.startswith(home + "/") else root
    names = "|".join(
        re.escape(name)
        for name in {root, short, short.replace("~", "$HOME", 1), short.replace("~", "%h", 1)}
    )
    wanted = re.compile(r"[^#].*\brecover\s+[\"']?(" + names + r")/?[\"']?(\s|$)")
    return any(wanted.match(line.lstrip()) for line in lines)


def _is_cron_running(system: str) -> bool:
    for path in glob.glob(os.path.join(system, "proc/[0-9]*/comm")):
        name = "".join(_lines(path)).strip()
        if name in _CRON_NAMES[:2] or (name == "busybox" and _is_busybox_cron(path)):
            return True
    return False


def _is_busybox_cron(path: str) -> bool:
    words = "".join(_lines(os.path.join(os.path.dirname(path), "cmdline"))).split("\0")
    return any(os.path.basename(word) == "crond" for word in words[:2])


def _own_crontab() -> List[str]:
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        done = subprocess.run(
            ["crontab", "-l"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=_CRONTAB_TIMEOUT_S,
            check=False,
        )
        return done.stdout.decode("utf-8", "replace").splitlines()
    return []


def _lines(path: str) -> List[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20).splitlines()
    except OSError:
        return []
