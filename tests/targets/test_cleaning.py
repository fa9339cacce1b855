"""A board is kept clean: what no session needs goes, what is used or not kedge's stays."""

import fcntl
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from targets.agent_archive import agent_archive
from targets.agent_client import AgentError
from targets.execution import Execution
from targets.inventory import Target
from targets.provision import open_device, remove_from_board
from targets.runtimes.wheels import tree_digest
from tests.device_agent.agents import files_below
from tests.wheel_files import write_wheel

AGENT_FILE = f"agent/{agent_archive().sha256}.pyz"


@pytest.fixture
def here(tmp_path: Path) -> Target:
    return Target("here", "local", root=str(tmp_path / "root"))


def test_a_folder_above_the_root_stays_when_it_was_there_or_is_used(
    here: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    target = replace(here, root="~/.local/share/kedge")
    (tmp_path / ".local").mkdir()
    with open_device(target):
        pass
    assert remove_from_board(target)
    assert [path.name for path in tmp_path.rglob("*")] == [".local"]

    with open_device(target):
        (tmp_path / ".local/share/photo.jpg").write_text("mine")
    assert remove_from_board(target)
    assert files_below(tmp_path) == [".local/share/photo.jpg"]


def test_an_older_agent_goes_unless_it_runs(here: Target) -> None:
    agents = Path(here.root) / "agent"
    agents.mkdir(parents=True)
    idle, busy, others = agents / f"{'1' * 64}.pyz", agents / f"{'2' * 64}.pyz", agents / "my.pyz"
    for path in (idle, others):
        path.write_bytes(b"old")
    busy.write_text("import time; print(flush=True); time.sleep(60)")
    (agents / f"{'1' * 64}.cpython-311.pyc").write_bytes(b"old")
    old_upload, new_upload = agents / ".new-1", agents / ".new-2"
    for path in (old_upload, new_upload):
        path.write_bytes(b"half")
    os.utime(old_upload, (0, 0))
    with subprocess.Popen([sys.executable, str(busy)], stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        with open_device(here):
            left = {path.name for path in agents.iterdir()}
        running.kill()
    codes = {name for name in left if name.endswith(".pyc")}
    assert {name[:64] for name in codes} == {Path(AGENT_FILE).stem}
    assert left - codes == {Path(AGENT_FILE).name, busy.name, others.name, new_upload.name}


def test_a_partial_upload_of_days_ago_goes_unless_it_is_being_written(here: Target) -> None:
    folder = Path(here.root) / "store/partial"
    folder.mkdir(parents=True)
    for name in ("given-up", "written", "recent"):
        (folder / name).write_bytes(b"half")
    for name in ("given-up", "written"):
        os.utime(folder / name, (0, 0))
    with (folder / "written").open("rb") as other_session:
        fcntl.flock(other_session, fcntl.LOCK_EX)
        with open_device(here):
            left = {path.name for path in folder.iterdir()}
    assert left == {"written", "recent"}


def test_a_runtime_that_is_no_longer_chosen_goes_when_the_new_one_is_there(
    here: Target, tmp_path: Path
) -> None:
    runtimes = Path(here.root) / "store/runtimes"
    (runtimes / ("0" * 64) / "numpy").mkdir(parents=True)
    house = tmp_path / "wheels"
    house.mkdir()
    files = []
    with open_device(here) as device:
        for wheel in device.runtime_for("tflite").wheels:
            name = wheel.distribution.replace("-", "_")
            tags = f"cp{wheel.python}-cp{wheel.python}-manylinux_2_27_{wheel.machine}"
            file = house / f"{name}-{wheel.version}-{tags}.whl"
            contents = {f"{name}/__init__.py": "raise ImportError('an empty wheel')"}
            files.append(write_wheel(file, contents))
        execution = Execution(wheels=tuple(file.sha256 for file in files))
        device.target = replace(here, execution=execution)
        with pytest.raises(AgentError):
            device.prepare_runtime("tflite", house)

    (tree,) = runtimes.iterdir()
    assert tree.name == tree_digest(files)
    assert (tree / "ai_edge_litert/__init__.py").is_file()
