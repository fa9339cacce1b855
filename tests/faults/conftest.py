"""A board behind a server of its own, whose link may be cut; clocks of a board in this process."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device_agent import signatures
from device_agent.releases import activation, board_state, staging, trust_roots
from targets.inventory import Target
from tests.boards import require_board_parts
from tests.device_agent.releases.session import SampleClock
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


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SampleClock:
    clock = SampleClock()
    clock.install(monkeypatch)
    return clock


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A signature is checked once; a disk that is written out need not be synced."""
    check = functools.cache(signatures.require_signatures)

    def require(what: str, text: bytes, given: list[str], *rest: Any) -> None:
        space, signers, count = rest
        check(what, text, tuple(given), space, tuple(signers), count)

    verifier = signatures.find_verifier()
    monkeypatch.setattr(board_state, "find_verifier", lambda: verifier)
    monkeypatch.setattr(board_state, "find_recovery", lambda _: "")
    for module in (activation, staging, trust_roots):
        monkeypatch.setattr(module, "require_signatures", require)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    yield
