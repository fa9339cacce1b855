"""A key that runs nothing but the agent on the board, over a real SSH server."""

import io
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_agent.contract.codes import FORBIDDEN
from targets.agent_archive import agent_archive
from targets.agent_client import AgentClient, AgentError
from targets.forced_command import ForcedCommandError
from targets.inventory import Target
from targets.known_boards import KnownBoards
from targets.provision import open_device, remove_from_board, reopen_device
from targets.ssh.transport import connect_ssh
from tests.boards import require_board_parts
from tests.device_agent.agents import files_below
from tests.device_agent.releases.signed import VARIANT, SampleRelease, trust_request
from tests.targets.loopback import start_own_sshd, target_at
from toolkit.demo.sshd import LoopbackSshd


@pytest.fixture
def server(tmp_path: Path) -> Iterator[LoopbackSshd]:
    require_board_parts("ssh")
    with start_own_sshd(tmp_path / "sshd") as server:
        yield server


@pytest.fixture
def target(server: LoopbackSshd, tmp_path: Path) -> Target:
    return target_at(server, tmp_path / "board root")


def restrict(folder: Path, target: Target, word: str = "restricted") -> None:
    """Lets the key of the target run the agent of the board, and nothing else."""
    path = folder / "sshd" / "authorized_keys"
    program = shlex.join(
        [sys.executable, "-I", f"{target.root}/agent/agent.pyz", word, target.root]
    )
    quoted = program.replace("\\", "\\\\").replace('"', '\\"')
    key = path.read_text().split("command=")[-1].rpartition('" ')[2]
    path.write_text(f'restrict,command="{quoted}" {key}')


def enrol(target: Target) -> None:
    with open_device(target) as device:
        request = trust_request("ann")
        device.releases.trust(request["root"].encode(), [])


def test_a_release_goes_its_way_by_a_restricted_key(target: Target, tmp_path: Path) -> None:
    enrol(target)
    restrict(tmp_path, target)
    release, boards = SampleRelease(1), KnownBoards()
    for _ in range(2):  # the second time, the board is known
        with reopen_device(target, boards) as device:
            for sha256, content in release.blobs.items():
                device.releases.send(io.BytesIO(content), sha256, len(content))
            request = release.stage_request()
            signatures = [text.encode() for text in request["signatures"]]
            device.releases.stage(release.text, signatures, VARIANT, 1)
            order = release.activate_request(1)
            signatures = [text.encode() for text in order["signatures"]]
            state = device.releases.activate(order["order"].encode(), signatures, 1, 600, False)
            assert state.current == release.digest
            confirm = release.confirm_request(1)
            device.releases.confirm(confirm["app"], release.digest, confirm["order"], 1)
            assert device.releases.state().apps["sorter"].order == confirm["order"]
            assert device.facts.agent_sha256 == agent_archive().sha256


def test_a_stolen_key_runs_no_program(target: Target, tmp_path: Path) -> None:
    enrol(target)
    restrict(tmp_path, target)
    before = files_below(Path(target.root))
    with connect_ssh(target) as transport:
        mark = tmp_path / "mark"
        for command in (f"touch {mark}", "sh", "internal-sftp", f"sh -c 'touch {mark}'"):
            transport.run(command, f"touch {mark}\n".encode(), 60)
        client = AgentClient(transport.open("anything"), "board")
        for op, args in (
            ("unpack", {"tree": "a" * 64, "wheels": ["b" * 64]}),
            ("describe", {"tree": "", "runtime": "x", "timeout_s": 5, "delegate": str(mark)}),
        ):
            with pytest.raises(AgentError, match="may not bring") as refused:
                client.call(op, args)
            assert refused.value.code == FORBIDDEN
        client.close()

    assert not mark.exists()
    assert files_below(Path(target.root)) == before


def test_a_restricted_key_enrols_no_first_signer(target: Target, tmp_path: Path) -> None:
    enrol(target)
    for path in (Path(target.root) / "store" / "trust").iterdir():
        path.unlink()
    restrict(tmp_path, target)
    with open_device(target) as device, pytest.raises(AgentError) as refused:
        device.releases.trust(trust_request("eve")["root"].encode(), [])

    assert refused.value.code == FORBIDDEN


def test_what_a_restricted_key_cannot_do_is_said(target: Target, tmp_path: Path) -> None:
    enrol(target)
    restrict(tmp_path, target)
    with pytest.raises(ForcedCommandError, match="runs nothing but kedge's agent") as refused:
        remove_from_board(target)
    assert "docs/fleet.md" in refused.value.hint

    agents = Path(target.root) / "agent"
    other = agents / f"{'1' * 64}.pyz"
    other.write_bytes((agents / "agent.pyz").resolve().read_bytes() + b"\0")
    (agents / "agent.pyz").unlink()
    (agents / "agent.pyz").symlink_to(other.name)
    with (
        pytest.raises(ForcedCommandError, match="of another kedge") as refused,
        open_device(target),
    ):
        pytest.fail("it opened")
    assert "kedge target check board" in refused.value.hint


def test_an_unrestricted_forced_command_serves(target: Target, tmp_path: Path) -> None:
    enrol(target)
    restrict(tmp_path, target, "serve")
    with open_device(target) as device:
        assert device.releases.state().fleet == "line-1"
