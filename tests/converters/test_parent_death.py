"""What works for a process ends with it, even when SIGKILL leaves that no time to end anything."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.converters.tflite.test_cost import loop_model

_LONGEST_S = 60.0


def _wait_until(is_so: Callable[[], bool]) -> bool:
    end = time.monotonic() + _LONGEST_S
    while not (holds := is_so()) and time.monotonic() < end:
        time.sleep(0.05)
    return holds


def _children(parent: int, module: str) -> set[int]:
    """Processes that run a module for a parent, by what they are and not by what they do."""
    pids = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            arguments = (folder / "cmdline").read_bytes().split(b"\0")
            status = (folder / "stat").read_text(errors="replace")
        except OSError:
            continue  # it ended meanwhile
        is_child = int(status.rpartition(")")[2].split()[1]) == parent
        if is_child and arguments[1:3] == [b"-m", module.encode()]:
            pids.add(int(folder.name))
    return pids


def _is_alive(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


@pytest.mark.parametrize(
    "module",
    [
        "converters.isolated_run",
        "converters.onnx.prepare",
        "converters.onnx.work",
        "converters.onnx.inspection",
    ],
)
def test_a_process_for_one_file_ends_when_its_parent_is_killed(tmp_path: Path, module: str) -> None:
    path = tmp_path / "model"
    if module == "converters.isolated_run":
        path.write_bytes(loop_model(None))
    else:
        os.mkfifo(path)  # a reading that never ends
    command = [sys.executable, "-m", "tests.converters.programs.killed_parent", module, str(path)]
    parent = subprocess.Popen(command)
    try:
        assert _wait_until(lambda: bool(_children(parent.pid, module)))
        (child,) = _children(parent.pid, module)
    finally:
        parent.kill()
        parent.wait()
    try:
        assert _wait_until(lambda: not _is_alive(child))
    finally:
        if _is_alive(child):
            os.kill(child, signal.SIGKILL)
