"""A board behind a server of its own, whose link may be cut, and a model for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from targets.inventory import Target
from tests.boards import require_board_parts
from tests.targets.loopback import (
    let_boards_use_the_tests_python,
    start_own_sshd,
    target_at,
    with_own_runtime,
)
from tests.tiny_model import relu_model
from toolkit.demo.sshd import LoopbackSshd


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


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """This computer as a board."""
    let_boards_use_the_tests_python(monkeypatch)
    return with_own_runtime(Target("here", "local", root=str(tmp_path / "root")))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.tflite"
    path.write_bytes(relu_model())
    return path
