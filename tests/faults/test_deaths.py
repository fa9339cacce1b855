"""The inference process is killed in mid-benchmark: it is named, and the conversation goes on."""

import os
import signal
import threading
from pathlib import Path

import pytest

from targets.agent_client import AgentError
from targets.inventory import Target
from targets.provision import open_device
from tests.faults.afterwards import LONG, assert_unharmed, jobs, wait_until

DEATHS = {
    signal.SIGABRT: "aborted",
    signal.SIGSEGV: "segmentation fault",
    signal.SIGKILL: "it was killed",
}


def test_a_process_that_dies_is_named(here: Target, model: Path) -> None:
    with open_device(here) as device:
        device.prepare_runtime("tflite")
        staged = device.push(model)
        for number, words in DEATHS.items():
            killer = Killer(here, number)
            with pytest.raises(AgentError, match=words) as died:
                device.jobs.benchmark(staged, LONG, killer.watch)
            killer.join()
            assert died.value.code == "child_died"
            assert "in the phase `warm-up`" in str(died.value)
            assert "available memory" in str(died.value)
    assert_unharmed(here, model)


class Killer(threading.Thread):
    """Sends a signal to the inference process once it measures."""

    def __init__(self, target: Target, number: signal.Signals) -> None:
        super().__init__(daemon=True)
        self._target, self._number = target, number

    def watch(self, phase: str, done: int, total: int) -> None:
        if phase == "warm-up" and self.ident is None:
            self.start()

    def run(self) -> None:
        for pid in jobs(self._target):
            os.kill(pid, self._number)


def test_a_process_that_ends_before_it_is_asked_anything(here: Target, model: Path) -> None:
    with open_device(here) as device:
        device.prepare_runtime("tflite")
        staged = device.push(model)

        def kill() -> None:
            wait_until(lambda: jobs(here))
            for pid in jobs(here):
                os.kill(pid, signal.SIGKILL)

        killer = threading.Thread(target=kill)
        killer.start()
        with pytest.raises(AgentError, match="died: it was killed"):
            device.jobs.benchmark(staged, LONG)
        killer.join()
    assert_unharmed(here, model)
