"""The watcher of a trial: real processes that revert without a controller."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device_agent.store.checked_file import write_checked
from targets.agent_client import AgentClient
from tests.device_agent.agents import open_agent, processes_with, put
from tests.device_agent.releases.signed import APP, SampleRelease, trust_request

UP_WITHIN_S = 60.0


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "root"
    for pid in processes_with(str(tmp_path)):
        subprocess.run(["kill", "-9", str(pid)], check=False)


def release(client: AgentClient, sample: SampleRelease, counter: int, **fields: Any) -> None:
    for content in sample.blobs.values():
        put(client, content)
    client.call("stage", sample.stage_request())
    client.call("activate", sample.activate_request(counter, **fields))


def watchers(root: Path) -> list[int]:
    return [
        pid
        for pid in processes_with(str(root))
        if b"watch" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    ]


def wait_until(condition: Any) -> None:
    end = time.monotonic() + UP_WITHIN_S
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def current(root: Path) -> str:
    return (root / "store" / "apps" / APP / "current").readlink().name


def test_the_board_reverts_alone_at_the_deadline(root: Path) -> None:
    first, second = SampleRelease(1), SampleRelease(2)
    with open_agent(root) as client:
        client.call("trust", trust_request("ann"))
        release(client, first, 1)
        client.call("confirm", first.confirm_request(1))
        release(client, second, 2, deadline_s=2)
    assert current(root) == second.digest

    wait_until(lambda: current(root) == first.digest)
    wait_until(lambda: not watchers(root))
    with open_agent(root) as client:
        state = client.call("releases", {})["apps"][APP]
    assert state["last_event"] == "revert"


def test_the_watcher_ends_with_the_trial(root: Path) -> None:
    sample = SampleRelease(1)
    with open_agent(root) as client:
        client.call("trust", trust_request("ann"))
        release(client, sample, 1)
        assert len(watchers(root)) == 1
        client.call("activate", sample.activate_request(1, epoch=2))
        client.call("confirm", sample.confirm_request(1, epoch=2))
        wait_until(lambda: not watchers(root))

    assert current(root) == sample.digest


def test_the_watcher_holds_no_file_of_the_session(root: Path) -> None:
    sample = SampleRelease(1)
    with open_agent(root) as client:
        client.call("trust", trust_request("ann"))
        release(client, sample, 1)
        (pid,) = watchers(root)
        targets = {path.readlink().as_posix() for path in Path(f"/proc/{pid}/fd").iterdir()}

        assert targets <= {"/dev/null", str(root / "store" / "apps" / APP / "watcher")}
        assert Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3] == str(pid)


def test_a_watcher_that_was_killed_is_started_anew(root: Path) -> None:
    sample = SampleRelease(1)
    with open_agent(root) as client:
        client.call("trust", trust_request("ann"))
        release(client, sample, 1, deadline_s=3)
        for pid in watchers(root):
            subprocess.run(["kill", "-9", str(pid)], check=True)
        wait_until(lambda: not watchers(root))
        client.call("releases", {})
        assert watchers(root)
    wait_until(lambda: not (root / "store" / "apps" / APP / "current").is_symlink())


def test_the_recovery_after_a_reboot_reverts(root: Path) -> None:
    sample = SampleRelease(1)
    with open_agent(root) as client:
        client.call("trust", trust_request("ann"))
        release(client, sample, 1)
    for pid in watchers(root):
        subprocess.run(["kill", "-9", str(pid)], check=True)
    trial = root / "store" / "apps" / APP / "trial.json"
    fields = json.loads(trial.read_text().splitlines()[0])
    write_checked(str(trial), dict(fields, boot_id="another boot"))
    command = [sys.executable, "-I", str(root.parent / "agent.pyz"), "recover", str(root)]
    subprocess.run(command, check=True)

    assert not (root / "store" / "apps" / APP / "current").is_symlink()
    assert not trial.exists()
