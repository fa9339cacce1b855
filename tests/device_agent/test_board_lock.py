"""Two roots on one board: their inference processes run one after the other."""

import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from device_agent import board_lock
from device_agent.board_lock import alone_on_board
from device_agent.contract.codes import BUSY, RefusalError
from targets.agent_client import AgentClient, AgentError
from tests.device_agent.agents import open_agent

HOLD = """
import sys, time
from device_agent.board_lock import alone_on_board
with alone_on_board("anna@laptop\\x1b[31m", print, 5, sys.argv[1]):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def name(tmp_path: Path) -> str:
    """A lock that no other test has."""
    return f"kedge-test-{tmp_path.name}-{time.monotonic_ns()}"


def hold(name: str, seconds: float) -> "subprocess.Popen[str]":
    command = [sys.executable, "-c", HOLD, name, str(seconds)]
    folder = Path(__file__).parents[2]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_the_second_waits_and_hears_for_whom(name: str) -> None:
    waits: list[str] = []
    with hold(name, 1.5) as other:
        began = time.monotonic()
        with alone_on_board("me", waits.append, 60, name):
            assert time.monotonic() - began > 0.2
        other.wait()
    assert set(waits) == {"anna@laptop?[31m"}


def test_the_wait_ends(name: str) -> None:
    with hold(name, 60) as other:
        with (
            pytest.raises(RefusalError, match=r"anna@laptop\?\[31m is measuring") as refused,
            alone_on_board("me", lambda _: None, 0.2, name),
        ):
            pytest.fail("it has the board")
        assert refused.value.code == BUSY
        assert refused.value.hint
        other.kill()


def test_it_ends_with_its_holder(name: str) -> None:
    with hold(name, 60) as other:
        other.kill()
        other.wait()
    waits: list[object] = []
    for turns in (1, 2):  # also for whoever comes after the second holder
        with alone_on_board("me", waits.append, 0, name):
            turns_done = turns
    assert turns_done == 2
    assert waits == []


def test_a_system_without_such_sockets_goes_on(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import _socket

    def refuse(*_: object) -> None:
        raise PermissionError("not here")

    monkeypatch.setattr(_socket, "socket", refuse)
    waits: list[object] = []
    works = False
    with alone_on_board("me", waits.append, 0, name):
        works = True
    assert works
    assert waits == []


def test_two_roots_take_turns(tmp_path: Path) -> None:
    """With real agents: the job of one waits for that of the other, and says so."""
    waits: list[object] = []
    job = {"runtime": "ai-edge-litert", "tree": "", "timeout_s": 300}

    def describe(client: AgentClient) -> None:
        with suppress(AgentError):  # the Python of the tests may have no runtime
            client.call("describe", job, 300, lambda event: waits.append(event["phase"]))

    with open_agent(tmp_path / "one") as one, open_agent(tmp_path / "two") as two:
        threads = [threading.Thread(target=describe, args=(each,)) for each in (one, two)]
        with alone_on_board("a test", lambda _: None):
            for thread in threads:
                thread.start()
            end = time.monotonic() + 60
            while len(waits) < 4 and time.monotonic() < end:
                time.sleep(0.02)
            assert all(thread.is_alive() for thread in threads)
            assert set(waits) == {"wait for a test, who measures on this board"}
            assert board_lock.holder() == "a test"
        for thread in threads:
            thread.join(300)
            assert not thread.is_alive()
