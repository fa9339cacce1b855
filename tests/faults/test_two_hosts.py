"""Two hosts use one board at once: the second is told whom it waits for, then it has the board."""

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from targets.device import Device
from targets.errors import TargetError
from targets.inventory import Target
from targets.provision import open_device, remove_from_board
from tests.faults.afterwards import (
    BRIEF,
    HANG_S,
    LONG,
    agents,
    assert_unharmed,
    jobs,
    wait_until,
)
from toolkit.demo.sshd import LoopbackSshd

#: Another host, which uses the board for a minute.
OTHER = """
import sys
from pathlib import Path
from targets.execution import Execution
from targets.inventory import Target
from targets.provision import open_device
from tests.faults.afterwards import LONG
root, model, python = sys.argv[1:]
target = Target("here", "local", root=root, execution=Execution("board:ai-edge-litert", python))
with open_device(target) as device:
    device.prepare_runtime("tflite")
    device.jobs.benchmark(device.push(Path(model)), LONG)
"""


def use(device: Device, model: Path, said: list[str]) -> None:
    device.prepare_runtime("tflite", on_progress=lambda what, done, total: said.append(what))
    assert len(device.jobs.benchmark(device.push(model), BRIEF).samples_ns) >= 10


def test_a_host_that_is_killed_leaves_the_board_to_the_next(
    target: Target, model: Path, server: LoopbackSshd
) -> None:
    command = [sys.executable, "-c", OTHER, target.root, str(model), sys.executable]
    first = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    said: list[str] = []
    try:
        wait_until(lambda: jobs(target))
        with open_device(target) as device:
            second = threading.Thread(target=use, args=(device, model, said))
            second.start()
            wait_until(lambda: [what for what in said if what.startswith("wait for")])
            first.send_signal(signal.SIGKILL)
            second.join(HANG_S)
            assert not second.is_alive()
    finally:
        first.kill()
        first.wait()

    assert said[0] == f"wait for {getpass.getuser()}@{socket.gethostname()}"
    assert "load the runtime" in said
    assert_unharmed(target, model)


@pytest.mark.skipif(shutil.which("flock") is None, reason="no flock here, as on some boards")
def test_nobody_removes_what_another_measures_with(here: Target, model: Path) -> None:
    with open_device(here) as device:
        device.prepare_runtime("tflite")
        device.push(model)
        with pytest.raises(TargetError, match=f"{getpass.getuser()}@.* is using here") as refused:
            remove_from_board(here)
        assert "Wait" in refused.value.hint
        assert len(device.jobs.benchmark(device.push(model), BRIEF).samples_ns) >= 10
    wait_until(lambda: not agents(here))
    assert remove_from_board(here)
    assert not Path(here.root).exists()


def test_an_agent_that_is_killed_leaves_the_board_to_the_next(here: Target, model: Path) -> None:
    with open_device(here) as first:
        first.prepare_runtime("tflite")
        staged = first.push(model)
        ended: list[BaseException] = []

        def measure() -> None:
            try:
                first.jobs.benchmark(staged, LONG)
            except Exception as error:
                ended.append(error)

        measuring = threading.Thread(target=measure)
        measuring.start()
        wait_until(lambda: jobs(here))
        with open_device(here) as second:
            said: list[str] = []
            waiting = threading.Thread(target=use, args=(second, model, said))
            waiting.start()
            wait_until(lambda: said)
            process = first._client._channel._process  # type: ignore[attr-defined]
            os.killpg(process.pid, signal.SIGKILL)  # the shell that started it, too
            waiting.join(HANG_S)
            measuring.join(HANG_S)
            assert not waiting.is_alive()
        assert "ended" in str(ended[0])
    assert_unharmed(here, model)
