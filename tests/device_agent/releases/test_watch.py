"""The watcher of a trial: real processes that revert without a controller."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from device_agent.contract.manifest import Hooks
from device_agent.store.checked_file import write_checked
from targets.agent_client import AgentClient, AgentError
from targets.transport import UnreachableError
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
    wait_until(lambda: current(root) == first.digest)
    wait_until(lambda: not watchers(root))
    assert current(root) == first.digest
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


def test_the_board_reverts_when_the_agent_is_killed_in_mid_activation(
    root: Path, tmp_path: Path
) -> None:
    hook = tmp_path / "reload"
    mark = tmp_path / "again"
    hook.write_text(f"#!/bin/sh\n[ -e {mark} ] || {{ touch {mark}; sleep 99; }}\n")
    hook.chmod(0o755)
    first = SampleRelease(1)
    second = SampleRelease(2, hooks=Hooks(reload=[str(hook)]))
    with open_agent(root) as client:
        client.call("trust", trust_request("ann"))
        release(client, first, 1)
        client.call("confirm", first.confirm_request(1))
        killer = threading.Thread(target=kill_agent, args=(root, mark))
        killer.start()
        with pytest.raises(UnreachableError):
            release(client, second, 2, deadline_s=5, hooks=True)
        killer.join()
    assert current(root) == second.digest

    wait_until(lambda: current(root) == first.digest)
    with open_agent(root) as client:
        state = client.call("releases", {})["apps"][APP]
        entries = client.call("release_log", {"after": 0})["entries"]
    assert state["last_event"] == "revert"
    assert [entry["event"] for entry in entries][-2:] == ["activate", "revert"]


def kill_agent(root: Path, after: Path) -> None:
    wait_until(after.exists)
    for pid in processes_with(str(root)):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"serve" in words:
            os.kill(pid, signal.SIGKILL)


def test_two_controllers_race(root: Path) -> None:
    """Whoever has the lower epoch is refused from the moment on that the board knows the other."""
    samples = [SampleRelease(1), SampleRelease(2)]
    refusals: list[str] = []

    def lead(sample: SampleRelease, counter: int, epoch: int) -> None:
        with open_agent(root) as client:
            try:
                client.call("stage", sample.stage_request(epoch))
                client.call("activate", sample.activate_request(counter, epoch=epoch))
                client.call("confirm", sample.confirm_request(counter, epoch=epoch))
            except AgentError as error:
                refusals.append(error.code)

    with open_agent(root) as client:
        client.call("trust", trust_request("ann"))
        for sample in samples:
            for content in sample.blobs.values():
                put(client, content)
    leaders = [
        threading.Thread(target=lead, args=(sample, number, number))
        for number, sample in enumerate(samples, 1)
    ]
    for leader in leaders:
        leader.start()
    for leader in leaders:
        leader.join()

    assert set(refusals) <= {"stale_epoch", "on_trial", "replayed"}
    with open_agent(root) as client:
        state = client.call("releases", {})
        entries = client.call("release_log", {"after": 0})["entries"]
    assert state["epoch"] == 2
    activations = [entry for entry in entries if entry["event"] == "activate"]
    assert len({(entry["order"], entry["epoch"]) for entry in activations}) == len(activations)
    assert current(root) in {sample.digest for sample in samples}


def test_a_trial_whose_record_is_damaged_is_not_forgotten(root: Path) -> None:
    first, second = SampleRelease(1), SampleRelease(2)
    with open_agent(root) as client:
        client.call("trust", trust_request("ann"))
        release(client, first, 1)
        client.call("confirm", first.confirm_request(1))
        release(client, second, 2)
    trial = root / "store" / "apps" / APP / "trial.json"
    trial.chmod(0o600)
    trial.write_bytes(b"\0" * trial.stat().st_size)

    wait_until(lambda: current(root) == first.digest)
    wait_until(lambda: not watchers(root))
    assert current(root) == first.digest
