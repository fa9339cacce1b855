"""A board of a fleet is replaced: another host key, an empty disk; it gets its release again."""

import shutil
from pathlib import Path

from tests.boards import require_board_parts
from tests.kedge import assert_refused
from tests.toolkit.fleet.loopback_fleet import loopback_fleet
from tests.toolkit.fleet.policies import QUICK


def test_a_replaced_board_is_rekeyed_enrolled_and_gets_its_release(tmp_path: Path) -> None:
    require_board_parts("ssh")
    with loopback_fleet(tmp_path, {"ant": "good"}) as fleet:
        bundle, policy = fleet.bundle("first"), fleet.policy(QUICK)
        assert fleet.rollout(bundle, "--policy", policy).code == 0
        release = fleet.current("ant")
        shutil.rmtree(fleet.root("ant"))
        with fleet.server.restart(new_host_key=True) as server:
            silent = fleet.run("fleet", "status", "--json")
            (entry,) = silent.json["targets"]
            assert silent.code == 6
            assert "has changed" in entry["reason"]
            assert "kedge target rekey ant" in entry["hint"]
            plan = fleet.run("fleet", "plan", bundle, "--to", "ant")
            assert plan.code == 8
            assert "kedge target rekey ant" in plan.out
            old = fleet.server.host_key_fingerprint
            wrong = fleet.run("target", "rekey", "ant", "--host-key", old)
            assert_refused(wrong, 6, server.host_key_fingerprint, "nothing was changed")
            right = fleet.run("target", "rekey", "ant", "--host-key", server.host_key_fingerprint)
            assert right.code == 0, right.err

            status = fleet.run("fleet", "status", "--json")
            (entry,) = status.json["targets"]
            assert status.code == 8
            assert (entry["current"], entry["wanted"], entry["drifts"]) == ("", release, True)
            untrusted = fleet.rollout(bundle, "--policy", policy)
            assert untrusted.code == 8
            assert "it trusts nobody who signs releases (kedge target trust" in untrusted.out
            enrolled = fleet.run("target", "trust", "ant", "--signers", "signers")
            assert enrolled.code == 0, enrolled.err
            ran = fleet.rollout(bundle, "--policy", policy)
            assert ran.code == 0, ran.err
            assert fleet.current("ant") == release
            assert fleet.run("fleet", "status").code == 0
