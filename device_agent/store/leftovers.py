"""Removes what no session needs any more: older agents, and what was never finished."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import os
import re
import time
from typing import BinaryIO, List

from device_agent.code_cache import SUFFIX
from device_agent.contract.codes import RefusalError
from device_agent.store.durable import link_durably, open_file

#: An upload that nobody went on with for so long is given up.
ABANDONED_AFTER_S = 86400.0

#: How a .tflite begins, after the offset of its root table (flatbuffers' file identifier).
_TFLITE_MAGIC = b"TFL3"
#: How an .onnx begins (ModelProto of onnx.proto3, its fields by number): `ir_version`, a varint
#: from 3 on, and the tag of one of the fields after it.
_ONNX_BEGIN = re.compile(rb"\x08[\x03-\x7f][\x12\x1a\x22\x28\x32\x3a\x42]")
_ZIP_MAGIC = b"PK"

#: Name by which a cron job, a unit or a forced command starts the agent, whatever its digest is.
AGENT_LINK = "agent.pyz"

_AGENT = re.compile(r"[0-9a-f]{64}\.pyz\Z")
_CODE = re.compile(r"([0-9a-f]{64})\..*\.pyc\Z")


def remove_older_agents(archive: str) -> List[str]:
    """Remove the agents beside this one that no process runs, and their unfinished uploads.

    Args:
        archive: The agent that runs; whatever else an agent's upload leaves lies beside it.

    Returns:
        The paths that were removed.
    """
    folder = os.path.dirname(archive)
    others = [
        path
        for path in glob.glob(os.path.join(folder, "*.pyz"))
        if path != archive and _AGENT.match(os.path.basename(path))
    ]
    running = _command_lines() if others else b""
    gone = [path for path in others if os.path.basename(path)[:-4].encode() not in running]
    gone += [path for path in glob.glob(os.path.join(folder, ".new-*")) if _is_abandoned(path)]
    agents = {os.path.basename(path) for path in [archive, *others] if path not in gone}
    for path in glob.glob(os.path.join(folder, "*" + SUFFIX)):
        owner = _CODE.match(os.path.basename(path))
        if owner is not None and owner.group(1) + ".pyz" not in agents:
            gone.append(path)
    return [path for path in gone if _remove(path)]


def link_agent(folder: str, sha256: str) -> None:
    """Let `agent.pyz` lead to an agent: what starts agents on the board by itself names it so.

    Args:
        folder: Folder of the agents.
        sha256: Digest of the agent; without its file in the folder, nothing is done.
    """
    archive = sha256 + ".pyz"
    if os.path.isfile(os.path.join(folder, archive)):
        link_durably(archive, os.path.join(folder, AGENT_LINK))


def renew_agent_link(archive: str) -> None:
    """Let `agent.pyz`, where it is, lead to the agent that runs."""
    folder, name = os.path.split(archive)
    with contextlib.suppress(OSError, RefusalError):
        if os.readlink(os.path.join(folder, AGENT_LINK)) != name and _AGENT.match(name):
            link_durably(name, os.path.join(folder, AGENT_LINK))


def remove_abandoned_uploads(folder: str) -> List[str]:
    """Remove the partial files that nobody went on with; one that is being written is locked."""
    removed = []
    for path in glob.glob(os.path.join(folder, "*")):
        with contextlib.suppress(OSError, RefusalError), _open_to_read(path) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_abandoned(path) and _remove(path):
                removed.append(path)
    return removed


def remove_left_data(folder: str) -> List[str]:
    """Remove the tensors and samples of sessions that were killed; only for who has the board.

    The data of a job is there for one session, and only one at a time has jobs. Models stay, and
    so do wheels, which the next try goes on with.

    Args:
        folder: The scratch area.

    Returns:
        The paths that were removed.
    """
    paths = []
    for path in glob.glob(os.path.join(folder, "*")):
        with contextlib.suppress(OSError, RefusalError), _open_to_read(path) as file:
            begin = file.read(8)
            is_wheel = begin.startswith(_ZIP_MAGIC) and not _is_abandoned(path)
            if not (is_wheel or begin[4:] == _TFLITE_MAGIC or _ONNX_BEGIN.match(begin)):
                paths.append(path)
    return [path for path in paths if _remove(path)]


def _open_to_read(path: str) -> BinaryIO:
    return os.fdopen(open_file(path, os.O_RDONLY), "rb")


def _is_abandoned(path: str) -> bool:
    try:
        return time.time() - os.lstat(path).st_mtime > ABANDONED_AFTER_S
    except OSError:
        return False


def _remove(path: str) -> bool:
    try:
        os.unlink(path)
    except OSError:  # another session was faster, or the folder is read-only by now
        return False
    return True


def _command_lines() -> bytes:
    """Return the command lines of all processes of the board."""
    lines = []
    for path in glob.glob("/proc/[0-9]*/cmdline"):
        with contextlib.suppress(OSError), open(path, "rb") as file:
            lines.append(file.read())
    return b"\n".join(lines)
