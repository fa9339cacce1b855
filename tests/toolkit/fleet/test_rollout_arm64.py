"""A rollout on the emulated arm64 board: stage, activate, confirm, and the way back."""

from pathlib import Path
from typing import Any, cast

from device_agent.contract.manifest import Hooks
from tests.boards import require_board_parts, start_board
from tests.toolkit.fleet.loopback_fleet import LoopbackFleet
from tests.toolkit.fleet.policies import QUICK
from toolkit.bundle.bundle_file import read_bundle


def test_an_arm64_board_confirms_a_release_and_reverts_a_sick_one(tmp_path: Path) -> None:
    require_board_parts("arm64")
    (tmp_path / "project").mkdir()
    with start_board("arm64") as board:
        fleet = LoopbackFleet(tmp_path / "project", cast("Any", None), {})
        (fleet.folder / "kedge.toml").write_text(
            f"[targets.arm]\naddress = '{board.address}'\nhost_key = '{board.host_key}'\n"
            f"host_key_type = 'ssh-ed25519'\nidentity = '{board.identity}'\n"
            f"root = '{board.root}'\nhooks = true\nlabels = {{ fleet = 'all' }}\n"
        )
        enrolled = fleet.run("target", "trust", "arm", "--signers", "signers")
        first = fleet.bundle("first", Hooks(health=["/bin/true"]))
        second = fleet.bundle("second", Hooks(health=["/bin/false"]))
        policy = fleet.policy(QUICK)
        good = fleet.rollout(first, "--policy", policy)
        sick = fleet.rollout(second, "--policy", policy)
        link = board.root_on_host / "store/apps/detector/current"
        current = link.readlink().name

    assert enrolled.code == 0, enrolled.err
    assert good.code == 0, good.err
    assert sick.code == 8, sick.err
    assert "the health command ended with 1" in sick.err
    assert current == read_bundle(fleet.folder / first).digest
