"""The operating system of a board, and what this login is there."""

from __future__ import annotations

import glob
import grp
import os
import pwd
import re
from typing import Any, Dict, List

from device_agent.board.pseudo_files import text_of

#: Paths at which distributions install the SFTP server of OpenSSH.
_SFTP_SERVERS = (
    "usr/lib/openssh/sftp-server",
    "usr/lib/ssh/sftp-server",
    "usr/libexec/openssh/sftp-server",
    "usr/libexec/sftp-server",
)

#: Files that a container's engine leaves, and the name of the engine.
_CONTAINER_MARKS = {".dockerenv": "docker", "run/.containerenv": "podman"}


def read_system(root: str) -> Dict[str, Any]:
    """Read the operating system.

    Args:
        root: Folder that holds `etc/`, `proc/`, `run/` and `usr/`.

    Returns:
        `os`, `libc` (such as `glibc 2.36`, `musl 1.2.4`; empty for another), `init`, `container`
        (empty outside of one), `sftp` (whether an SFTP server is installed), `user`, `groups`.
    """
    return {
        "os": _os_name(root),
        "libc": _libc(root),
        "init": text_of(root, "proc/1/comm"),
        "container": _container(root),
        "sftp": any(os.path.exists(os.path.join(root, path)) for path in _SFTP_SERVERS),
        "user": _user(),
        "groups": _groups(),
    }


def _os_name(root: str) -> str:
    release = text_of(root, "etc/os-release")
    found = re.search(r'^PRETTY_NAME="?([^"\n]+)', release, re.MULTILINE)
    return found.group(1) if found else ""


def _libc(root: str) -> str:
    try:
        name = os.confstr("CS_GNU_LIBC_VERSION")
        if name:
            return name
    except (ValueError, OSError):
        pass
    loaders = glob.glob(os.path.join(root, "lib/ld-musl-*.so.1"))
    return "musl {}".format(_musl_version(loaders[0])).strip() if loaders else ""


def _musl_version(loader: str) -> str:
    """Ask musl's loader, which tells its version when it is called without a program."""
    import subprocess  # slow to load on a small board, and needed on few

    try:
        done = subprocess.run(
            [loader], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, timeout=5, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    found = re.search(rb"Version ([0-9.]+)", done.stderr)
    return found.group(1).decode("ascii") if found else ""


def _container(root: str) -> str:
    for path, engine in _CONTAINER_MARKS.items():
        if os.path.exists(os.path.join(root, path)):
            return engine
    return text_of(root, "run/systemd/container")


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _groups() -> List[str]:
    names = []
    for number in sorted({os.getegid(), *os.getgroups()}):
        try:
            names.append(grp.getgrgid(number).gr_name)
        except KeyError:
            names.append(str(number))
    return names
