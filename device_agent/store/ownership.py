"""Whether others than this user may change a folder or exchange it, as sshd's StrictModes asks.

The probe runs this module from memory on a board that holds nothing of ours: `describe_root` reads,
and writes nothing.
"""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import stat
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

#: Folders of kedge below the root, the outermost first.
KEDGE_FOLDERS = (
    "agent",
    "store",
    "store/scratch",
    "store/partial",
    "store/runtimes",
    "store/cas",
    "store/cas/sha256",
    "store/rel",
    "store/apps",
    "store/trust",
    "store/log",
)


class Part(NamedTuple):
    """One folder, link or file on the way to a path."""

    path: str
    mode: int
    """Type and permissions, as `os.lstat` reports them."""
    uid: int
    """Number of the user to whom it belongs."""
    gid: int
    """Number of its group."""


class UnsafePart(NamedTuple):
    """A part that others may change, and what helps."""

    cause: str
    fix: str


def find_unsafe_part(root: str) -> Optional[UnsafePart]:
    """Return the first part of a root folder that others may change; `None` where there is none.

    A folder of kedge that this user owns counts as safe whatever its mode is: the agent takes the
    permission to write from others before it uses it.

    Args:
        root: Absolute path of the root folder; what does not exist yet is passed over.
    """
    uid = os.geteuid()
    own = own_folders(root)
    tightened = {path for path in map(os.path.realpath, own) if _is_own_folder(path, uid)}
    for path in own + [os.path.join(root, "store", "lock")]:
        for part in parts_on_the_way(path, _home()):
            writers = 0 if part.path in tightened else stat.S_IMODE(part.mode) & 0o022
            if writers == stat.S_IWGRP and has_no_other_member(part.gid, uid):
                writers = 0
            unsafe = judge_part(part, uid, writers)
            if unsafe is not None:
                return unsafe
    return None


def own_folders(root: str) -> List[str]:
    """Return the folders in which only kedge keeps files, the outermost first."""
    return [root] + [os.path.join(root, name) for name in KEDGE_FOLDERS]


def parts_on_the_way(path: str, home: str) -> List[Part]:
    """Return the parts of a path that exist: as it is named, then behind all links.

    Args:
        path: Absolute path.
        home: Home folder without links; what lies above it is left out, as whoever can change that
            has the whole account. Empty to leave out nothing.
    """
    parts: Dict[str, Part] = {}
    for way in (os.path.abspath(path), os.path.realpath(path)):
        is_in_home = bool(home) and (way + "/").startswith(home.rstrip("/") + "/")
        for prefix in _prefixes(way):
            if is_in_home and len(prefix) < len(home):
                continue
            with contextlib.suppress(OSError):
                state = os.lstat(prefix)
                parts[prefix] = Part(prefix, state.st_mode, state.st_uid, state.st_gid)
    return list(parts.values())


def judge_part(part: Part, uid: int, writers: int) -> Optional[UnsafePart]:
    """Say why others may change a part; `None` where they may not.

    Args:
        part: Part of the path.
        uid: Number of the user whose root folder it is.
        writers: Bits of the mode by which others than the owner may write, without those of a group
            that has no other member.
    """
    if part.uid not in (0, uid):
        cause = "{} belongs to {}, expected {}".format(
            part.path, _user_name(part.uid), _user_name(uid) + (" or root" if uid else "")
        )
        return UnsafePart(cause, "Name a folder of your own as `root` of this target.")
    if not writers or stat.S_ISLNK(part.mode):
        return None
    if stat.S_ISDIR(part.mode) and part.mode & stat.S_ISVTX:
        return None  # as /tmp: everybody may add names, and change only their own
    who = "everybody" if writers & stat.S_IWOTH else _group_name(part.gid)
    return UnsafePart(
        "{} may be written by {}, expected by its owner alone".format(part.path, who),
        "Name another folder as `root` of this target, or run on the board: chmod go-w {}".format(
            part.path
        ),
    )


def has_no_other_member(gid: int, uid: int) -> bool:
    """Whether a group has no member but a user and root; many systems give each user a group."""
    try:
        members = {pwd.getpwnam(name).pw_uid for name in grp.getgrgid(gid).gr_mem}
    except KeyError:
        return False
    members |= {entry.pw_uid for entry in pwd.getpwall() if entry.pw_gid == gid}
    return members <= {0, uid}


def tighten(root: str) -> None:
    """Take permissions from others on the folders of kedge that this user owns.

    The root may hold files of others, who may still read it; what kedge made is for its user alone.
    """
    for path in map(os.path.realpath, own_folders(root)):
        if not _is_own_folder(path, os.geteuid()):
            continue
        mode = stat.S_IMODE(os.lstat(path).st_mode)
        if mode & stat.S_ISVTX:  # as /tmp, named as the root or behind a link: it is for everybody
            continue
        less = mode & (~0o022 if path == os.path.realpath(root) else ~0o077)
        if less != mode:
            with contextlib.suppress(OSError):  # what can then still be written is refused
                os.chmod(path, less)


def describe_root(root: str) -> Dict[str, Any]:
    """Return what the probe reports of a root folder: `cause`, `fix` and `free_files`.

    `free_files` is the number of files that its file system still takes; -1 for no limit.
    """
    unsafe = find_unsafe_part(root) or UnsafePart("", "")
    return {"cause": unsafe.cause, "fix": unsafe.fix, "free_files": free_files(root)}


def free_files(path: str) -> int:
    """Return how many files a file system still takes; -1 where it has no limit."""
    while not os.path.isdir(path) and path != os.path.dirname(path):
        path = os.path.dirname(path)
    try:
        facts = os.statvfs(path)
    except OSError:
        return -1
    return facts.f_favail if facts.f_files else -1


def _home() -> str:
    home = os.path.expanduser("~")
    return os.path.realpath(home) if home.startswith("/") else ""


def _prefixes(path: str) -> Iterator[str]:
    names = [name for name in path.split("/") if name]
    for count in range(len(names) + 1):
        yield "/" + "/".join(names[:count])


def _is_own_folder(path: str, uid: int) -> bool:
    try:
        state = os.lstat(path)
    except OSError:
        return False
    return stat.S_ISDIR(state.st_mode) and state.st_uid == uid


def _user_name(uid: int) -> str:
    try:
        return "the user " + pwd.getpwuid(uid).pw_name
    except KeyError:
        return "the user number {}".format(uid)


def _group_name(gid: int) -> str:
    try:
        return "the group " + grp.getgrgid(gid).gr_name
    except KeyError:
        return "the group number {}".format(gid)
