"""Rollouts over lines that are cut, fall silent, pass a byte a second, or never stop sending.

All boards of the table are in one fleet: each is behind a line of its own, which fails at one step
in one way. So a rollout that waits for one line shows whether it holds up the other boards.
"""

import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from device_agent.contract.manifest import Hooks
from tests.boards import require_board_parts
from tests.toolkit.fleet.loopback_fleet import LoopbackFleet, loopback_fleet
from tests.toolkit.fleet.policies import QUICK
from tests.toolkit.fleet.weak_line import CLEAR, FAILURES, SLOW, WeakLine, weak_line
from toolkit.bundle.bundle_file import read_bundle

#: Steps before the trial, and from its begin on.
BEFORE, ON_TRIAL = ("survey", "stage", "probe"), ("activate", "health", "confirm", "revert")

TABLE = [f"{kind}-{step}" for step in (*BEFORE, *ON_TRIAL) for kind in FAILURES]

#: The command line, whose patience with a line is shorter than a person's. A step at which a line
#: fails says so in the folder `requests`, and begins when the line has failed. Only boards whose
#: line fails at the probe are measured: it takes long.
IMPATIENT = """
import sys, time
from pathlib import Path
from targets.agent_client import AgentClient
from targets.ssh import connection
from toolkit.fleet import acts, device_actions, tally
connection.SILENCE_S, connection.KEEPALIVE_S, tally.ACTIVATION_S = 3.0, 0.3, 2.0
call, do_step = AgentClient.call, device_actions.do_step
def call_briefly(self, op, args, timeout_s=8.0, on_event=None):
    return call(self, op, args, min(timeout_s, 8.0), on_event)
def do_over_weak_line(device, act, work, reason):
    if act.target.endswith("-" + act.step):
        Path("requests", act.target).touch()
        while not Path("failed", act.target).exists():
            time.sleep(0.01)
    elif act.step == acts.PROBE:
        return acts.ActOutcome(act.target, act.step, acts.SUCCEEDED)
    return do_step(device, act, work, reason)
AgentClient.call, device_actions.do_step = call_briefly, do_over_weak_line
from toolkit.cli.main import main
main()
"""

#: The trial is longer than a silent line needs to be noticed.
POLICY = """
trial_deadline_s = 12
same_fingerprint = 1000
[failure_budget]
count = 1000
rate = 1.0
[unreachable]
count = 1000
rate = 1.0
deadline_s = 1
[gates]
parity = false
latency_ratio = false
temperature = false
memory = 4000000000
[[wave]]
fraction = 1.0
"""

#: Command of an application that is well, unless a file beside the store says otherwise.
HEALTH = Hooks(health=["/bin/sh", "-c", 'test ! -e "${KEDGE_CURRENT%/store/*}/sick"'])


@contextmanager
def weak_fleet(
    folder: Path, names: Sequence[str]
) -> Iterator[tuple[LoopbackFleet, Mapping[str, WeakLine]]]:
    """Boards behind a line of their own each, and a good one."""
    require_board_parts("ssh")
    config = ["MaxStartups 200:30:200"]
    with (
        loopback_fleet(folder, dict.fromkeys([*names, "good"], "good"), config) as boards,
        ExitStack() as stack,
    ):
        port = int(boards.server.address.rpartition(":")[2])
        lines = {}
        inventory = (folder / "kedge.toml").read_text()
        for name in names:
            lines[name], own_port = stack.enter_context(weak_line(port))
            pattern = rf"(\[targets\.{name}\]\naddress = '[^']*):{port}'"
            inventory = re.sub(pattern, rf"\1:{own_port}'", inventory)
        (folder / "kedge.toml").write_text(inventory)
        (folder / "ssh_config").write_text("Host *\n    ConnectTimeout 5\n")
        yield boards, lines


@contextmanager
def failing_lines(folder: Path, lines: Mapping[str, WeakLine]) -> Iterator[None]:
    """Let each line fail when its step is about to begin; all are well again afterwards."""
    requests, failed, end = folder / "requests", folder / "failed", threading.Event()
    for place in (requests, failed):
        place.mkdir(exist_ok=True)
        for path in place.iterdir():
            path.unlink()
    for name, line in lines.items():
        if name.endswith("-survey"):
            line.state = kind_of(name)

    def watch() -> None:
        while not end.wait(0.01):
            for path in requests.iterdir():
                lines[path.name].state = kind_of(path.name)
                (failed / path.name).touch()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        end.set()
        watcher.join()
        for line in lines.values():
            line.state = CLEAR


def run_impatiently(boards: LoopbackFleet, *command: str) -> "subprocess.CompletedProcess[str]":
    usual = ("--sign", "release_key", "--accept-no-reboot-revert", "--json")
    policy = ("--policy", boards.policy(POLICY))
    ran = subprocess.run(
        [sys.executable, "-c", IMPATIENT, "fleet", *command, *usual, *policy],
        cwd=boards.folder,
        env={**os.environ, "KEDGE_SSH_CONFIG": str(boards.folder / "ssh_config")},
        text=True,
        capture_output=True,
        check=False,
    )
    assert "Traceback" not in ran.stderr, ran.stderr
    return ran


def active_after_trials(boards: LoopbackFleet) -> dict[str, str]:
    """Active release of each board, once no board has a release on trial."""
    end = time.monotonic() + 60
    trials = [boards.root(name) / "store/apps/detector/trial.json" for name in boards.names]
    while any(trial.exists() for trial in trials):
        assert time.monotonic() < end
        time.sleep(0.1)
    return {name: boards.current(name) for name in boards.names}


def kind_of(name: str) -> str:
    return name.partition("-")[0]


def state_after(name: str) -> str:
    if name == "good":
        return "confirmed"
    return "unreachable" if name.partition("-")[2] in BEFORE else "failed"


def digest_of(boards: LoopbackFleet, bundle: str) -> str:
    return read_bundle(boards.folder / bundle).digest


def test_a_line_that_fails_at_any_step_leaves_its_board_old_or_new(tmp_path: Path) -> None:
    with weak_fleet(tmp_path, TABLE) as (boards, lines):
        bundle = boards.bundle("first", HEALTH)
        for kind in FAILURES:
            (boards.root(f"{kind}-revert") / "sick").touch()
        with failing_lines(tmp_path, lines):
            ran = run_impatiently(boards, "rollout", bundle, "--to", "fleet=all")
            states = boards.states()
            active = active_after_trials(boards)

    assert ran.returncode == 8, ran.stderr
    assert states == {name: state_after(name) for name in boards.names}
    assert ran.stdout.count("it did not answer until the end of its trial") >= 4 * len(ON_TRIAL)
    new = {name for name in active if active[name]}
    # Over a slow line a confirmation arrives, and only its answer does not.
    assert new == {"good", f"{SLOW}-confirm"}


def test_a_line_that_fails_at_a_rollback_leaves_its_board_old_or_new(tmp_path: Path) -> None:
    names = [*(f"{kind}-activate" for kind in FAILURES), "silent-survey"]
    with weak_fleet(tmp_path, names) as (boards, lines):
        bundles = boards.bundle("first"), boards.bundle("second")
        first, second = (digest_of(boards, bundle) for bundle in bundles)
        for bundle in bundles:
            assert boards.rollout(bundle, "--policy", boards.policy(QUICK)).code == 0
        with failing_lines(tmp_path, lines):
            ran = run_impatiently(boards, "rollback")
            states = boards.states()
            active = active_after_trials(boards)
        late = boards.run("fleet", "resume", "3")
        late_active = boards.current("silent-survey")

    assert ran.returncode == 8, ran.stderr
    assert states == {name: state_after(name) for name in boards.names}
    assert active == {**dict.fromkeys(names, second), "good": first}
    assert late.code == 8, late.err
    assert late_active == first
