"""Dropbear, the SSH server of small boards: the whole arrow without SFTP, also without root."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from targets.agent_archive import agent_archive
from targets.inventory import Target
from targets.jobs import ProcessSettings
from targets.provision import open_device, remove_from_board
from targets.ssh.transport import connect_ssh
from targets.transport import HostKeyError, LoginRefusedError, UnreachableError
from tests.accounts import Account, dropbear, openssh
from tests.device_agent.agents import files_below
from tests.targets.loopback import let_boards_use_the_tests_python, with_own_runtime
from tests.tiny_model import relu_model

BIG = bytes(range(256)) * 20_000  # 5 MB
SERVERS = {"dropbear": dropbear, "openssh": openssh}

pytestmark = pytest.mark.usefixtures("nothing_on_stderr", "no_thread_stays")


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Target]:
    with dropbear(tmp_path / "server", Account(tmp_path / "home")) as target:
        yield target


def test_much_passes_both_ways(board: Target) -> None:
    with connect_ssh(board) as transport:
        assert transport.run("cat", BIG, 30).stdout == BIG


def test_another_host_key_is_refused(board: Target) -> None:
    with pytest.raises(HostKeyError):
        connect_ssh(replace(board, host_key="SHA256:" + "B" * 43))


def test_the_whole_arrow(board: Target, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    let_boards_use_the_tests_python(monkeypatch)
    model = tmp_path / "model.tflite"
    model.write_bytes(relu_model())
    x = np.array([[1, -2, 3, -4]], np.int8)
    with open_device(with_own_runtime(board)) as device:
        device.prepare_runtime("tflite")
        staged = device.push(model)
        _, outputs = device.jobs.infer(staged, {"x": x})
        run = device.jobs.benchmark(staged, ProcessSettings(1, 0.01, 0.05))

    np.testing.assert_array_equal(outputs["y0"], np.maximum(x, 0))
    assert run.samples_ns
    assert remove_from_board(board)
    assert not Path(board.root).exists()


@pytest.mark.parametrize("server", SERVERS)
def test_a_user_without_root(server: str, tmp_path: Path) -> None:
    system_python = shutil.which("python3", path="/usr/bin:/bin")
    if system_python is None:
        pytest.skip("the system has no Python of its own that another user may run")
    model = tmp_path / "model.tflite"
    model.write_bytes(os.urandom(100_000))
    # Not below pytest's folder, which nobody else may enter.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        account = Account(folder / "home", user="pi")
        with SERVERS[server](folder / "server", account) as target:
            with open_device(target) as device:
                staged = device.push(model)
            there = Path(staged.path)
            assert there.read_bytes() == model.read_bytes()
            assert there.stat().st_uid != 0
            assert files_below(Path(target.root)) == [
                f"agent/{agent_archive().sha256}.pyz",
                f"store/scratch/{staged.sha256}",
            ]
            assert remove_from_board(target)


def test_no_login_shell_is_a_refused_login(tmp_path: Path) -> None:
    account = Account(tmp_path / "home", shell="/usr/sbin/nologin")
    with (
        dropbear(tmp_path / "server", account) as target,
        pytest.raises((LoginRefusedError, UnreachableError)) as refused,
    ):
        connect_ssh(target)
    assert refused.value.hint
