"""The link to a board is cut in each phase: one clear error, and the next try goes on."""

import contextlib
import os
import signal
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from device_agent.contract.model_card import ModelCard
from targets import device as device_module
from targets import probe as probe_module
from targets import provision
from targets.agent_client import AgentClient
from targets.device import Device
from targets.inventory import Target
from targets.progress import OnProgress, no_progress
from targets.provision import open_device
from targets.sample_run import SampleRequest
from targets.transport import UnreachableError
from tests.device_agent.agents import processes_with
from tests.faults.afterwards import (
    AGENT,
    BRIEF,
    LONG,
    agents,
    assert_unharmed,
    jobs,
    wait_until,
)
from tests.targets.loopback import cut_sessions
from tests.tiny_model import relu_model
from tests.wheel_files import wheel_file
from toolkit.demo.keeper import descendants
from toolkit.demo.sshd import LoopbackSshd


def cut_when(server: LoopbackSshd, true: Callable[[], object]) -> threading.Thread:
    def watch() -> None:
        wait_until(true)
        cut_sessions(server.keeper_pid)

    thread = threading.Thread(target=watch)
    thread.start()
    return thread


def freeze_jobs(target: Target) -> list[int]:
    """Stop the jobs of a board, so that none ends before the link is cut."""
    pids = jobs(target)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
    return pids


def benchmark(device: Device, path: Path) -> None:
    device.jobs.benchmark(device.push(path), LONG)


def benchmark_briefly(device: Device, path: Path) -> None:
    device.jobs.benchmark(device.push(path), BRIEF)


def infer(device: Device, path: Path) -> None:
    device.jobs.infer(device.push(path), {"x": np.ones((50_000, 4), np.int8)})


def run_samples(device: Device, path: Path) -> None:
    samples = [{"x": np.ones(4, np.float32)}] * 20
    device.jobs.run_samples(device.push(path), SampleRequest(ModelCard(), samples))


@pytest.mark.parametrize("work", [benchmark, infer, run_samples])
def test_a_cut_in_mid_job_leaves_no_process(
    server: LoopbackSshd, target: Target, model: Path, work: Callable[[Device, Path], None]
) -> None:
    with pytest.raises(UnreachableError, match="board") as lost, open_device(target) as device:
        device.prepare_runtime("tflite")
        cutter = cut_when(server, lambda: freeze_jobs(target))
        work(device, model)
    cutter.join()

    assert lost.value.hint
    assert_unharmed(target, model)


def test_a_cut_while_the_connection_is_made(
    server: LoopbackSshd, target: Target, model: Path
) -> None:
    known = set(descendants(server.keeper_pid))
    cutter = cut_when(server, lambda: set(descendants(server.keeper_pid)) - known)
    with pytest.raises(UnreachableError) as lost, open_device(target):
        pytest.fail("it opened")
    cutter.join()

    assert lost.value.hint
    assert not Path(target.root).exists()
    assert_unharmed(target, model)


def test_a_cut_while_the_board_is_read(
    server: LoopbackSshd, target: Target, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = probe_module.probe_script

    def slow(*arguments: object) -> bytes:
        return b"sleep 5.717\n" + real(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(probe_module, "probe_script", slow)
    cutter = cut_when(server, lambda: processes_with("sleep\x005.717"))
    with pytest.raises(UnreachableError) as lost, open_device(target):
        pytest.fail("it opened")
    cutter.join()
    monkeypatch.setattr(probe_module, "probe_script", real)

    assert lost.value.hint
    assert not Path(target.root).exists()
    assert_unharmed(target, model)


def test_a_cut_while_another_host_is_waited_for(
    server: LoopbackSshd, target: Target, model: Path
) -> None:
    def cut(what: str, done: int, total: int) -> None:
        if what.startswith("wait for "):
            cut_sessions(server.keeper_pid)

    owner = replace(target, address="local", host_key=None, host_key_type=None, identity=None)
    with open_device(owner) as first:
        first.prepare_runtime("tflite")
        own = agents(target)  # with the shells that started it
        with pytest.raises(UnreachableError) as lost, open_device(target) as second:
            second.prepare_runtime("tflite", on_progress=cut)
        assert lost.value.hint
        wait_until(lambda: agents(target) == own)
        assert first.push(model).sent_bytes > 0
    assert_unharmed(target, model)


def test_a_cut_while_the_model_arrives(
    server: LoopbackSshd, target: Target, model: Path, tmp_path: Path
) -> None:
    large = tmp_path / "large.tflite"
    large.write_bytes(relu_model() + bytes(8_000_000))

    def cut(what: str, done: int, total: int) -> None:
        if done > total / 2:
            cut_sessions(server.keeper_pid)

    with pytest.raises(UnreachableError) as lost, open_device(target) as device:
        device.push(large, cut)
    assert lost.value.hint
    wait_until(lambda: not agents(target))
    with open_device(target) as device:
        staged = device.push(large)
    assert 0 < staged.sent_bytes < 8_000_000
    assert Path(staged.path).read_bytes() == large.read_bytes()
    Path(staged.path).unlink()
    assert_unharmed(target, model)


def test_a_cut_while_the_agent_arrives_leaves_no_half_agent(
    server: LoopbackSshd, target: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = provision._UPLOAD.replace("cat >", "sleep 2.5713; cat >")
    monkeypatch.setattr(provision, "_UPLOAD", slow)
    cutter = cut_when(server, lambda: processes_with("sleep\x002.5713"))
    with pytest.raises(UnreachableError), open_device(target):
        pytest.fail("it opened")
    cutter.join()
    monkeypatch.undo()
    wait_until(lambda: not agents(target))

    assert not list(tmp_path.glob("root/agent/.new-*"))
    left = list(tmp_path.glob("root/agent/*.pyz"))
    assert all(path.read_bytes() == AGENT.content for path in left)
    with open_device(target) as device:
        assert device.facts.agent_sha256 == AGENT.sha256


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
    monkeypatch.setattr(device_module, "find_wheels", lambda *_: [wheel_file(path)])
    return path


def runtimes(tmp_path: Path) -> list[int]:
    """How many files each unpacked runtime has."""
    return [len(list(path.rglob("*.py"))) for path in tmp_path.glob("root/store/runtimes/*")]


def bring(target: Target, on_progress: OnProgress = no_progress) -> None:
    with open_device(target) as device:
        device._bring_runtime(device.runtime_for("tflite"), None, on_progress)


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
    server: LoopbackSshd, target: Target, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get = AgentClient.get

    def cut(self: AgentClient, sha256: str, most_bytes: int) -> bytes:
        cut_sessions(server.keeper_pid)
        return get(self, sha256, most_bytes)

    monkeypatch.setattr(AgentClient, "get", cut)
    for work in (benchmark_briefly, infer):
        with pytest.raises(UnreachableError) as lost, open_device(target) as device:
            device.prepare_runtime("tflite")
            work(device, model)
        assert lost.value.hint
        wait_until(lambda: not agents(target))
    monkeypatch.setattr(AgentClient, "get", get)

    assert_unharmed(target, model)
