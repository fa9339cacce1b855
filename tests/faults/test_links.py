"""The link to a board is cut in each phase: one clear error, and the next try goes on."""

import os
import signal
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from targets import device as device_module
from targets import provision
from targets.agent_archive import agent_archive
from targets.agent_client import AgentClient
from targets.device import Device, OnProgress, RunSettings, no_progress
from targets.inventory import Target
from targets.provision import open_device
from targets.transport import UnreachableError
from tests.boards import require_board_parts
from tests.device_agent.agents import processes_with
from tests.targets.loopback import (
    cut_sessions,
    let_boards_use_the_tests_python,
    start_own_sshd,
    target_at,
    with_own_runtime,
)
from tests.tiny_model import relu_model
from toolkit.demo.sshd import LoopbackSshd

AGENT = agent_archive()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LoopbackSshd]:
    require_board_parts("ssh")
    with start_own_sshd(tmp_path / "sshd") as server:
        yield server


@pytest.fixture
def target(server: LoopbackSshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """A board whose Python is the tests' own, which has a runtime."""
    let_boards_use_the_tests_python(monkeypatch)
    return with_own_runtime(target_at(server, tmp_path / "root"))


def wait_until(true: Callable[[], object], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def cut_when(server: LoopbackSshd, true: Callable[[], object]) -> threading.Thread:
    def watch() -> None:
        wait_until(true)
        cut_sessions(server.keeper_pid)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def agents(target: Target) -> list[int]:
    return processes_with(f"{target.root}/agent/{AGENT.sha256}.pyz")


def jobs(target: Target) -> list[int]:
    return processes_with(f"{target.root}/agent/{AGENT.sha256}.pyz\0job")


def benchmark(device: Device, path: Path) -> None:
    device.benchmark(device.push(path), RunSettings(1, 0.01, 30))


def infer(device: Device, path: Path) -> None:
    device.infer(device.push(path), {"x": np.ones((2_000_000, 4), np.int8)})


@pytest.mark.parametrize("work", [benchmark, infer])
def test_a_cut_in_mid_job_leaves_no_process(
    server: LoopbackSshd,
    target: Target,
    tmp_path: Path,
    work: Callable[[Device, Path], None],
) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(relu_model())
    began = time.monotonic()
    with pytest.raises(UnreachableError, match="board") as lost, open_device(target) as device:
        cutter = cut_when(server, lambda: jobs(target))
        work(device, model)
    cutter.join()

    assert lost.value.hint
    assert time.monotonic() - began < 20
    wait_until(lambda: not agents(target))
    assert not list(tmp_path.glob("root/store/work-*"))
    with open_device(target) as device:
        assert device.push(model).sent_bytes < 4000
        assert device.infer(device.push(model), {"x": np.ones((1, 4), np.int8)})


def test_a_cut_while_the_agent_arrives_leaves_no_half_agent(
    server: LoopbackSshd, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = provision._UPLOAD.replace("cat >", "sleep 0.5713; cat >")
    monkeypatch.setattr(provision, "_UPLOAD", slow)
    cutter = cut_when(server, lambda: processes_with("sleep\x000.5713"))
    with pytest.raises(UnreachableError), open_device(target):
        pytest.fail("it opened")
    cutter.join()
    monkeypatch.undo()
    wait_until(lambda: not agents(target))

    assert not list(tmp_path.glob("root/agent/.new-*"))
    left = list(tmp_path.glob("root/agent/*.pyz"))
    assert all(path.read_bytes() == AGENT.content for path in left)
    with open_device(target) as device:
        assert device.facts["agent_sha256"] == AGENT.sha256


def test_an_agent_that_is_killed_is_told(target: Target, tmp_path: Path) -> None:
    with (
        pytest.raises(UnreachableError, match="the agent on board ended"),
        open_device(target) as device,
    ):
        for pid in agents(target):
            os.kill(pid, signal.SIGKILL)
        device.push(Path(__file__))


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A wheel of many files, which is all that the board needs."""
    path = tmp_path / "many-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(4000):
            archive.writestr(f"many/part{number}.py", f"x = {number}\n" * 100)
    monkeypatch.setattr(device_module, "find_wheels", lambda *_: [path])
    return path


def runtimes(tmp_path: Path) -> list[int]:
    """How many files each unpacked runtime has."""
    return [len(list(path.rglob("*.py"))) for path in tmp_path.glob("root/store/runtimes/*")]


def bring(target: Target, on_progress: OnProgress = no_progress) -> None:
    with open_device(target) as device:
        device._bring_runtime(None, on_progress)


@pytest.mark.usefixtures("wheel")
def test_a_cut_while_the_runtime_arrives(
    server: LoopbackSshd, target: Target, tmp_path: Path
) -> None:
    def cut(what: str, done: int, total: int) -> None:
        if what.startswith("send") and done > total / 2:
            cut_sessions(server.keeper_pid)

    with pytest.raises(UnreachableError) as lost:
        bring(target, cut)
    assert lost.value.hint
    wait_until(lambda: not agents(target))
    assert runtimes(tmp_path) == []
    bring(target)

    assert runtimes(tmp_path) == [4000]
    assert not list(tmp_path.glob("root/store/partial/*"))


@pytest.mark.usefixtures("wheel")
def test_a_cut_while_the_runtime_is_unpacked(
    server: LoopbackSshd, target: Target, tmp_path: Path
) -> None:
    building = "root/store/work-*/runtime/many/part9*.py"
    cutter = cut_when(server, lambda: list(tmp_path.glob(building)))
    with pytest.raises(UnreachableError) as lost:
        bring(target)
    cutter.join()
    assert lost.value.hint
    wait_until(lambda: not agents(target))
    assert runtimes(tmp_path) in ([], [4000])
    bring(target)

    assert runtimes(tmp_path) == [4000]
    assert not list(tmp_path.glob("root/store/scratch/*"))


def test_a_cut_while_results_are_fetched(
    server: LoopbackSshd, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model.tflite"
    model.write_bytes(relu_model())
    get = AgentClient.get

    def cut(self: AgentClient, sha256: str) -> bytes:
        cut_sessions(server.keeper_pid)
        return get(self, sha256)

    x = np.arange(400_000, dtype=np.int64).astype(np.int8).reshape(-1, 4)
    monkeypatch.setattr(AgentClient, "get", cut)
    with pytest.raises(UnreachableError) as lost, open_device(target) as device:
        device.infer(device.push(model), {"x": x})
    assert lost.value.hint
    monkeypatch.setattr(AgentClient, "get", get)
    wait_until(lambda: not agents(target))
    with open_device(target) as device:
        staged = device.push(model)
        _, outputs = device.infer(staged, {"x": x})

    np.testing.assert_array_equal(outputs["y0"], np.maximum(x, 0))
    assert [path.name for path in tmp_path.glob("root/store/scratch/*")] == [staged.sha256]
