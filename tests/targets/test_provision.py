"""The agent's way to a board and off it: once, whole, and nothing else is touched."""

import hashlib
import os
import shutil
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from targets import provision
from targets.agent_archive import agent_archive
from targets.agent_client import AgentError
from targets.board_disk import BoardDiskError
from targets.errors import TargetError
from targets.inventory import Target
from targets.jobs import ProcessSettings
from targets.local import LocalTransport
from targets.provision import connect, open_device, remove_from_board
from targets.staged_file import StagedFile
from targets.transport import CommandResult, UnreachableError
from tests.boards import BoardUnderTest, require_board_parts
from tests.device_agent.agents import files_below, processes_with
from tests.targets.loopback import (
    cut_sessions,
    let_boards_use_the_tests_python,
    start_own_sshd,
    target_at,
    target_of,
    with_own_runtime,
)
from tests.tiny_model import relu_model

AGENT = agent_archive()
AGENT_FILE = f"agent/{AGENT.sha256}.pyz"


@pytest.fixture(params=["local", "ssh"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    """A target with a root of its own, with all that a shell could trip over in its name."""
    board: BoardUnderTest = request.getfixturevalue(f"{request.param}_board")
    return target_of(board, str(tmp_path / 'it\'s a "root" $HOME'))


@pytest.fixture
def here(tmp_path: Path) -> Target:
    return Target("here", "local", root=str(tmp_path / "root"))


@pytest.fixture
def uploads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The agents that were sent."""
    seen: list[str] = []
    upload = provision._upload

    def counted(*arguments: object) -> None:
        seen.append("agent")
        upload(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(provision, "_upload", counted)
    return seen


def write(folder: Path, size: int, name: str = "model.tflite") -> Path:
    path = folder / name
    path.write_bytes(os.urandom(size))
    return path


def test_the_agent_is_sent_once(target: Target, uploads: list[str]) -> None:
    for _ in range(2):
        with open_device(target) as device:
            assert device.facts.agent_sha256 == AGENT.sha256
    root = Path(target.root)

    assert uploads == ["agent"]
    assert files_below(root) == [AGENT_FILE]
    assert (root / AGENT_FILE).read_bytes() == AGENT.content
    assert (root / "agent").stat().st_mode & 0o077 == 0
    wait_for_no_agent(target)


@pytest.mark.parametrize("damage", [b"", b"no zip", AGENT.content[:-100], AGENT.content + b"x"])
def test_a_damaged_agent_is_replaced(here: Target, uploads: list[str], damage: bytes) -> None:
    agent = Path(here.root) / AGENT_FILE
    agent.parent.mkdir(parents=True)
    agent.write_bytes(damage)
    with open_device(here) as device:
        assert device.facts.agent_sha256 == AGENT.sha256

    assert uploads == ["agent"]
    assert agent.read_bytes() == AGENT.content


def test_an_upload_that_is_cut_leaves_no_half_agent(
    here: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = LocalTransport.run

    def cut(self: LocalTransport, command: str, stdin: bytes, timeout_s: float) -> CommandResult:
        return run(self, command, stdin[:1000] if stdin == AGENT.content else stdin, timeout_s)

    monkeypatch.setattr(LocalTransport, "run", cut)
    with pytest.raises(BoardDiskError, match="did not arrive whole"), open_device(here):
        pytest.fail("it opened")

    assert files_below(Path(here.root)) == []


def test_removing_leaves_nothing_of_ours(target: Target, tmp_path: Path) -> None:
    with open_device(target) as device:
        device.push(write(tmp_path, 1000))
    (Path(target.root) / "store/work-999999999").mkdir()
    (Path(target.root) / "store/lock").touch()  # whoever ran a job there left it

    assert remove_from_board(target)
    assert not Path(target.root).exists()
    assert remove_from_board(target)  # a second time is fine


def test_removing_keeps_what_others_put_there(target: Target, tmp_path: Path) -> None:
    root = Path(target.root)
    others = ["agent/notes.txt", "mine.txt", "store/mine/data", "store/photo.jpg"]
    for name in others:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("mine")
    with open_device(target) as device:
        device.push(write(tmp_path, 1000))

    assert not remove_from_board(target)
    assert files_below(root) == others


def test_a_home_is_found_by_its_tilde(
    here: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    target = replace(here, root="~/.local/share/kedge")
    with open_device(target) as device:
        assert device.root == f"{tmp_path}/.local/share/kedge"
    assert f".local/share/kedge/{AGENT_FILE}" in files_below(tmp_path)

    assert remove_from_board(target)
    assert list(tmp_path.iterdir()) == []  # the folders above it, which kedge made, are gone too


def test_the_second_push_of_a_file_sends_next_to_nothing(target: Target, tmp_path: Path) -> None:
    path = write(tmp_path, 500_000)
    with open_device(target) as device:
        first = device.push(path)
    with open_device(target) as device:
        second = device.push(path)

    assert 500_000 < first.sent_bytes < 504_000
    assert second.sent_bytes < 4000
    assert first.path == second.path
    assert Path(second.path).read_bytes() == path.read_bytes()


def test_a_push_that_was_cut_goes_on_where_it_was(tmp_path: Path) -> None:
    require_board_parts("ssh")
    path = write(tmp_path, 3_000_000)
    with start_own_sshd(tmp_path / "sshd") as server:
        target = target_at(server, tmp_path / "root")
        cuts: list[int] = []

        def cut(what: str, done: int, total: int) -> None:
            if done > total / 2 and not cuts:
                cuts.append(done)
                wait_for_size(tmp_path / "root/store/partial", 500_000)
                cut_sessions(server.keeper_pid)

        with pytest.raises(UnreachableError) as lost, open_device(target) as device:
            device.push(path, cut)
        assert "what has arrived" in lost.value.hint
        wait_for_no_agent(target)
        kept = size_of(tmp_path / "root/store/partial")
        with open_device(target) as device:
            staged = device.push(path)

    assert kept >= 500_000
    assert staged.sent_bytes < 3_000_000 - kept + 4000
    assert Path(staged.path).read_bytes() == path.read_bytes()
    assert list(tmp_path.glob("root/store/partial/*")) == []


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*"))


def wait_for_size(folder: Path, size: int) -> None:
    end = time.monotonic() + 60
    while size_of(folder) < size:
        assert time.monotonic() < end
        time.sleep(0.02)


def wait_for_no_agent(target: Target) -> None:
    end = time.monotonic() + 30
    while processes_with(f"{target.root}/agent/"):
        assert time.monotonic() < end
        time.sleep(0.02)


def test_two_hosts_push_one_file_at_once(target: Target, tmp_path: Path) -> None:
    path = write(tmp_path, 4_000_000)
    ends: list[StagedFile] = []

    def push() -> None:
        with open_device(target) as device:
            ends.append(device.push(path))

    hosts = [threading.Thread(target=push) for _ in range(2)]
    for host in hosts:
        host.start()
    for host in hosts:
        host.join(60)
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()

    assert [staged.sha256 for staged in ends] == [sha256, sha256]
    assert files_below(Path(target.root)) == sorted([AGENT_FILE, f"store/scratch/{sha256}"])
    stored = Path(target.root, "store/scratch", sha256)
    assert hashlib.sha256(stored.read_bytes()).hexdigest() == sha256


def test_a_file_that_cannot_be_read_is_named(here: Target, tmp_path: Path) -> None:
    with open_device(here) as device:
        for name in ("none", "."):
            with pytest.raises(TargetError, match="cannot read") as refused:
                device.push(tmp_path / name)
            assert refused.value.exit_code == 6


def test_a_board_that_cannot_run_the_agent_is_left_as_it_is(
    here: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("targets.probe.OLDEST_PYTHON", (4, 0))

    with pytest.raises(TargetError, match="needs Python"), open_device(here):
        pytest.fail("it opened")
    assert not Path(here.root).exists()


def test_a_board_that_refuses_to_remove_says_so(here: Target) -> None:
    root = Path(here.root)
    with open_device(here):
        pass
    if os.geteuid() != 0 or shutil.which("chattr") is None:
        pytest.skip("only root makes a file that cannot be removed")
    if subprocess.run(["chattr", "+i", root / AGENT_FILE], check=False).returncode:
        pytest.skip("this file system has no files that cannot be removed")
    try:
        with pytest.raises(TargetError, match="did not remove everything"):
            remove_from_board(here)
    finally:
        subprocess.run(["chattr", "-i", root / AGENT_FILE], check=True)


def test_the_way_is_chosen_by_the_address(here: Target, ssh_board: BoardUnderTest) -> None:
    for target in (here, target_of(ssh_board)):
        with connect(target) as transport:
            assert transport.run("echo $((6 * 7))", b"", 10).stdout == b"42\n"


def test_results_are_fetched_and_nothing_of_them_stays(
    here: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_boards_use_the_tests_python(monkeypatch)
    here = with_own_runtime(here)
    model = tmp_path / "two.tflite"
    model.write_bytes(relu_model(outputs=2))
    x = np.array([[1, -2, 3, -4], [5, 6, 7, 8]], np.int8)
    with open_device(here) as device:
        device.use(device.runtime_for("tflite"))
        staged = device.push(model)
        board, outputs = device.jobs.infer(staged, {"x": x})
        run = device.jobs.benchmark(staged, ProcessSettings(1, 0.01, 0.05))
        with pytest.raises(AgentError, match="takes int8"):
            device.jobs.infer(staged, {"x": x.astype(np.float32)})

    assert board == run.run.kernel_class
    assert list(outputs) == ["y0", "y1"]
    for values in outputs.values():  # equal outputs are one file on the board
        np.testing.assert_array_equal(values, np.maximum(x, 0))
        assert values.dtype == np.int8
    assert len(run.samples_ns) == run.run.sample_count
    assert len(run.conditions) >= 2
    assert files_below(Path(here.root)) == sorted([AGENT_FILE, f"store/scratch/{staged.sha256}"])
