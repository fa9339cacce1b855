"""A board that goes away in mid-benchmark: did it start anew, or was it only the link?"""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from targets.device import Device
from targets.inventory import Target
from targets.provision import open_device
from targets.ssh import connection
from targets.transport import SilentLinkError, UnreachableError
from tests.faults.afterwards import assert_unharmed
from tests.targets.loopback import cut_sessions
from toolkit import reboot
from toolkit.demo.keeper import descendants
from toolkit.demo.sshd import LoopbackSshd
from toolkit.measure.bench import BenchSettings, bench
from toolkit.reboot import BoardRebootedError

#: Its processes last long enough to be cut in the middle of one.
LONG = BenchSettings(duration_s=120)


def cut_in_mid_benchmark(server: LoopbackSshd, then: Callable[[], object]) -> Callable[..., None]:
    """Shows progress; once the measuring has begun, kills the agent and its SSH session."""
    cutters: list[threading.Thread] = []

    def cut() -> None:
        time.sleep(0.5)
        cut_sessions(server.keeper_pid)
        then()

    def show(what: str, done: int, total: int) -> None:
        if what.startswith("measure") and not cutters:
            cutters.append(threading.Thread(target=cut))
            cutters[0].start()

    return show


def test_a_board_that_started_anew_is_named(
    server: LoopbackSshd, target: Target, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def after_a_new_start(which: Target) -> Iterator[Device]:
        with open_device(which) as device:
            device.facts = replace(device.facts, boot_id="another")
            yield device

    monkeypatch.setattr(reboot, "open_device", after_a_new_start)
    with pytest.raises(BoardRebootedError, match="restarted while it was measured") as found:
        bench(model, target, LONG, cut_in_mid_benchmark(server, lambda: None))

    assert "power supply" in found.value.hint
    assert found.value.exit_code == 6
    assert isinstance(found.value.__cause__, UnreachableError)
    assert_unharmed(target, model)


def test_a_board_that_lost_only_its_link_is_not_said_to_have_started_anew(
    server: LoopbackSshd, target: Target, model: Path
) -> None:
    said: list[str] = []
    show = cut_in_mid_benchmark(server, lambda: None)

    def listen(what: str, done: int, total: int) -> None:
        said.append(what)
        show(what, done, total)

    with pytest.raises(UnreachableError):
        bench(model, target, LONG, listen)

    assert said[-1].startswith("board is lost: wait up to ")
    assert_unharmed(target, model)


def test_a_board_that_stays_away_is_not_waited_for_without_end(
    server: LoopbackSshd, target: Target, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reboot, "BACK_WITHIN_S", 2.0)
    monkeypatch.setattr(reboot, "_RETRY_S", 0.5)
    with pytest.raises(UnreachableError):
        bench(model, target, LONG, cut_in_mid_benchmark(server, server.stop))


def test_a_board_that_fell_silent_is_not_waited_for_twice(
    server: LoopbackSshd, target: Target, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "SILENCE_S", 5.0)
    monkeypatch.setattr(connection, "KEEPALIVE_S", 0.5)
    said: list[str] = []

    def listen(what: str, done: int, total: int) -> None:
        said.append(what)
        if what.startswith("measure"):
            for pid in descendants(server.keeper_pid):
                os.kill(pid, signal.SIGSTOP)

    with pytest.raises(SilentLinkError, match="nothing came from it") as lost:
        bench(model, target, LONG, listen)

    assert "Is the board on" in lost.value.hint
    assert not [what for what in said if "wait up to" in what]
