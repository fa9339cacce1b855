"""Real agents: the packed zipapp, run by a Python of this computer, asked over its stdio."""

import contextlib
import hashlib
import io
import os
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from device_agent.code_cache import SUFFIX
from targets.agent_archive import agent_archive
from targets.agent_client import AgentClient
from targets.local import LocalChannel, LocalTransport


def sha256_of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def agent_command(root: Path, python: str = sys.executable) -> str:
    """Writes the agent beside its root; returns what starts it."""
    archive = root.parent / "agent.pyz"
    archive.write_bytes(agent_archive().content)
    return "exec " + shlex.join([python, "-I", str(archive), "serve", str(root)])


def open_channel(root: Path, python: str = sys.executable) -> LocalChannel:
    return LocalTransport().open(agent_command(root, python))


@contextlib.contextmanager
def open_agent(root: Path, python: str = sys.executable) -> Iterator[AgentClient]:
    client = AgentClient(open_channel(root, python), "board")
    try:
        yield client
    finally:
        client.close()


def put(client: AgentClient, content: bytes) -> str:
    """Sends a file; returns its digest."""
    sha256 = sha256_of(content)
    client.put(io.BytesIO(content), sha256, len(content))
    return sha256


def files_below(folder: Path) -> list[str]:
    """All files by their path below the folder, without the agent's own compiled code."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != SUFFIX)
    return sorted(path.relative_to(folder).as_posix() for path in files)


def alive(pid: int) -> bool:
    """Whether the process runs; one that ended and waits to be collected does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def ended_within(pid: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while alive(pid):
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def processes_with(word: str) -> list[int]:
    """The processes of this computer that have `word` in their command line."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and word.encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
    return [pid for pid in found if alive(pid) and pid != os.getpid()]
