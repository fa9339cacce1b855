"""The link to a board is cut in each phase: one clear error, and the next try goes on."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from targets import provision
from targets.agent_archive import agent_archive
from targets.device import Device, RunSettings
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
