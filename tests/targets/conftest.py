"""A real SSH server for each test that breaks one, and an eye on what paramiko leaves behind."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from targets.ssh.secrets import SECRETS
from tests.boards import require_board_parts
from tests.targets.loopback import Asked, start_own_sshd
from toolkit.demo.sshd import LoopbackSshd


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LoopbackSshd]:
    require_board_parts("ssh")
    with start_own_sshd(tmp_path / "sshd") as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of the test's own, with an empty ~/.ssh and no SSH agent."""
    folder = tmp_path / "my home"
    (folder / ".ssh").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.delenv("KEDGE_SSH_CONFIG", raising=False)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return folder


@pytest.fixture
def asked() -> Iterator[Asked]:
    """A person who is asked by this process, and what it asked them."""
    person = Asked()
    SECRETS.ask_with(person)
    yield person
    SECRETS.ask_with(None)


@pytest.fixture
def nothing_on_stderr(capfd: pytest.CaptureFixture[str]) -> Iterator[None]:
    """paramiko's threads must not talk past our errors."""
    yield
    assert capfd.readouterr().err == ""


@pytest.fixture
def no_thread_stays() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    end = time.monotonic() + 30
    while left := [thread for thread in threading.enumerate() if thread not in before]:
        if all(isinstance(thread, threading.Timer) and thread.daemon for thread in left):
            return  # paramiko's own deadline of a handshake that failed
        assert time.monotonic() < end, left
        time.sleep(0.02)
