"""What the tests of SSH share."""

import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from toolkit.demo.sshd_files import find_program


@pytest.fixture
def agent(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A real SSH agent, empty."""
    path = home / "agent"
    command = [find_program("ssh-agent"), "-D", "-a", str(path)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.02)
    monkeypatch.setenv("SSH_AUTH_SOCK", str(path))
    yield
    process.send_signal(signal.SIGTERM)
    process.wait()
