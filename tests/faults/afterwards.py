"""What must be so after every fault: no process of ours runs, and the next benchmark works."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from targets.agent_archive import agent_archive
from targets.inventory import Target
from targets.jobs import ProcessSettings
from targets.provision import open_device
from tests.device_agent.agents import files_below, processes_with

AGENT = agent_archive()
BRIEF = ProcessSettings(threads=1, warmup_s=0.01, duration_s=0.02)
#: A soak of a minute: a warm-up ends as soon as the times are steady.
LONG = ProcessSettings(threads=1, warmup_s=0.01, duration_s=60, soak=True)
#: Limit of what hangs, in seconds; other tests may measure on this computer first, by its lock.
HANG_S = 300.0
SAMPLE = {"x": np.array([[-3, -1, 1, 3]], np.int8)}


def wait_until(true: Callable[[], object], seconds: float = HANG_S) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def agents(target: Target) -> list[int]:
    """The agents of a target that run, and their jobs."""
    return processes_with(f"{target.root}/agent/{AGENT.sha256}.pyz")


def jobs(target: Target) -> list[int]:
    return processes_with(f"{target.root}/agent/{AGENT.sha256}.pyz\0job")


def assert_unharmed(target: Target, model: Path) -> None:
    """The board measures and computes rightly, and holds the agent and the model alone."""
    wait_until(lambda: not agents(target))
    with open_device(target) as device:
        device.prepare_runtime("tflite")
        staged = device.push(model)
        assert len(device.jobs.benchmark(staged, BRIEF).samples_ns) >= 10
        _, outputs = device.jobs.infer(staged, SAMPLE)
    np.testing.assert_array_equal(outputs["y0"], [[0, 0, 1, 3]])
    left = [path for path in files_below(Path(target.root)) if "/runtimes/" not in path]
    assert [path for path in left if path not in ("agent/.made", "store/lock")] == [
        f"agent/{AGENT.sha256}.pyz",
        f"store/scratch/{staged.sha256}",
    ]
    assert not list(Path(target.root).glob("store/work-*"))
