"""Rollouts over lines that fall silent, pass a byte a second, or never stop sending."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.boards import require_board_parts
from tests.toolkit.fleet.loopback_fleet import LoopbackFleet, loopback_fleet
from tests.toolkit.fleet.policies import QUICK
from tests.toolkit.fleet.weak_line import (
    CLEAR,
    ENDLESS,
    SILENT,
    SLOW,
    WeakLine,
    weak_line,
)
from toolkit.bundle.bundle_file import read_bundle

#: The command line, whose patience with a line is shorter than a person's.
IMPATIENT = """
import sys
from targets import agent_client
from targets.ssh import connection
connection.SILENCE_S, connection.KEEPALIVE_S = 3.0, 0.3
agent_client.ANSWER_TIMEOUT_S = 5.0
from toolkit.cli.main import main
main()
"""

POLICY = "trial_deadline_s = 10\n[unreachable]\ncount = 2\nrate = 1.0\ndeadline_s = 1\n" + QUICK


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[tuple[LoopbackFleet, WeakLine]]:
    """Two boards, the second of which is behind a weak line."""
    require_board_parts("ssh")
    with loopback_fleet(tmp_path, {"near": "good", "far": "good"}) as boards:
        port = boards.server.address.rpartition(":")[2]
        with weak_line(int(port)) as (line, line_port):
            inventory = tmp_path / "kedge.toml"
            head, _, tail = inventory.read_text().partition("[targets.far]")
            inventory.write_text(head + "[targets.far]" + tail.replace(f":{port}", f":{line_port}"))
            yield boards, line


def start_impatient(boards: LoopbackFleet, bundle: str) -> "subprocess.Popen[str]":
    usual = ("--to", "fleet=all", "--sign", "release_key", "--accept-no-reboot-revert")
    command = ("fleet", "rollout", bundle, *usual, "--policy", boards.policy(POLICY), "--json")
    config = boards.folder / "ssh_config"
    config.write_text("Host *\n    ConnectTimeout 5\n")
    return subprocess.Popen(
        [sys.executable, "-c", IMPATIENT, *command],
        cwd=boards.folder,
        env={**os.environ, "KEDGE_SSH_CONFIG": str(config)},
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def roll_out_until(
    boards: LoopbackFleet, bundle: str, step: str, fail: Callable[[], None]
) -> tuple[int, str, str]:
    """Start a rollout; let the line fail when a step of the far board begins.

    Returns:
        Exit code, the events from then on, and the words for the person.
    """
    moment = ("begin", "far", step)
    with start_impatient(boards, bundle) as process:
        assert process.stdout is not None
        for text in process.stdout:
            event = json.loads(text)
            if (event.get("event"), event.get("target"), event.get("step")) == moment:
                fail()
                break
        events, words = process.communicate()
    assert "Traceback" not in words, words
    return process.returncode, events, words


def test_a_slow_line_makes_its_board_unreachable(fleet: tuple[LoopbackFleet, WeakLine]) -> None:
    boards, line = fleet
    bundle = boards.bundle("first")
    code, events, words = roll_out_until(
        boards, bundle, "stage", lambda: setattr(line, "state", SLOW)
    )
    states = boards.states()
    line.state = CLEAR
    again = boards.run("fleet", "resume", "1")

    assert states == {"near": "confirmed", "far": "unreachable"}, events
    assert code in (6, 9), words
    assert again.code == 0, again.err
    assert {boards.current(name) for name in boards.names} == {digest_of(boards, bundle)}


@pytest.mark.parametrize(("failure", "step"), [(SILENT, "activate"), (ENDLESS, "confirm")])
def test_a_board_that_is_lost_on_trial_fails_and_goes_back_alone(
    fleet: tuple[LoopbackFleet, WeakLine], failure: str, step: str
) -> None:
    boards, line = fleet
    bundle = boards.bundle("first")
    code, events, words = roll_out_until(
        boards, bundle, step, lambda: setattr(line, "state", failure)
    )
    states = boards.states()
    end = time.monotonic() + 120
    while boards.current("far") and time.monotonic() < end:
        time.sleep(0.2)
    at_last = boards.current("far")
    line.state = CLEAR
    again = boards.rollout(bundle, "--policy", boards.policy(QUICK))

    assert states["far"] == "failed", events
    assert code == 8, words
    assert "it did not answer until the end of its trial" in events
    assert at_last == ""
    assert again.code == 0, again.err
    assert {boards.current(name) for name in boards.names} == {digest_of(boards, bundle)}


def digest_of(boards: LoopbackFleet, bundle: str) -> str:
    return read_bundle(boards.folder / bundle).digest
