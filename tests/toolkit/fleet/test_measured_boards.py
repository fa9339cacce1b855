"""Gates and checks that measure real boards: accuracy on labelled samples, latency, drift."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.boards import require_board_parts
from tests.toolkit.fleet.loopback_fleet import LoopbackFleet, faulty_python, loopback_fleet
from tests.toolkit.fleet.policies import QUICK

#: All boards at once, whatever fails; latency is measured, and three times as slow is accepted.
TIMED = """
[gates]
parity = false
latency_ratio = 3.0
temperature = false
[[wave]]
fraction = 1.0
"""

#: All boards at once, whatever fails; only the answers to labelled samples count.
ACCURATE = """
[gates]
parity = false
latency_ratio = false
temperature = false
accuracy = 0.9
[failure_budget]
count = 3
rate = 1.0
[[wave]]
fraction = 1.0
"""


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[LoopbackFleet]:
    """A good board, and one whose runtime gives wrong outputs."""
    require_board_parts("ssh")
    with loopback_fleet(tmp_path, {"ant": "good", "bee": "wrong"}) as boards:
        yield boards


def test_accuracy_on_labelled_samples_says_yes_and_no(fleet: LoopbackFleet) -> None:
    ran = fleet.rollout(fleet.bundle("second"), "--policy", fleet.policy(ACCURATE))
    check = fleet.run("fleet", "check", "--json").json["targets"]

    assert ran.code == 8, ran.err
    assert fleet.states() == {"ant": "confirmed", "bee": "failed"}
    assert "bee: probe: failed: gate accuracy: the interval is below the limit" in ran.err
    assert [entry["name"] for entry in check] == ["ant"]
    accuracy = check[0]["evidence"]["gates"][-1]
    assert (accuracy["name"], accuracy["verdict"]) == ("accuracy", "pass")
    assert accuracy["figure"].startswith("0.9550 on 600 samples")


def test_a_check_compares_with_the_activation_also_after_a_rollback(fleet: LoopbackFleet) -> None:
    fleet.policy(TIMED)
    second, third = fleet.bundle("second"), fleet.bundle("third")
    usual = ("--to", "ant", "--sign", "release_key", "--accept-no-reboot-revert", "--policy")
    assert fleet.run("fleet", "rollout", second, *usual, "policy.toml").code == 0
    quick = fleet.policy(QUICK)
    assert fleet.run("fleet", "rollout", third, *usual, quick).code == 0
    assert fleet.run("fleet", "rollback", "--sign", "release_key").code == 0
    good = fleet.run("fleet", "check", "--json")
    slow = faulty_python(fleet.folder / "pythons" / "slow", "slow")
    inventory = fleet.folder / "kedge.toml"
    inventory.write_text(inventory.read_text().replace(sys.executable, str(slow)))
    bad = fleet.run("fleet", "check")

    assert good.code == 0, good.err
    low, high = good.json["targets"][0]["evidence"]["drift_interval"]
    assert low <= good.json["targets"][0]["evidence"]["drift"] <= high
    assert bad.code == 8, bad.err
    assert "ant: it is slower than at the activation: " in bad.out
