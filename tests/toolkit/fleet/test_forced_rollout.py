"""Releases for a runtime that boards do not have: refused, unless the operator overrides it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from converters.formats import FORMATS
from tests.boards import require_board_parts
from tests.toolkit.fleet.loopback_fleet import LoopbackFleet, loopback_fleet
from tests.toolkit.fleet.policies import QUICK

REASON = "it needs ai-edge-litert 99.0 or newer"


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[LoopbackFleet]:
    require_board_parts("ssh")
    with loopback_fleet(tmp_path, {"ant": "good", "bee": "good"}) as boards:
        yield boards


def bundle_for_newer_runtime(
    fleet: LoopbackFleet, name: str, monkeypatch: pytest.MonkeyPatch
) -> str:
    with monkeypatch.context() as patch:
        needs = {"ai-edge-litert": "99.0"}
        patch.setitem(
            FORMATS, "tflite", replace(FORMATS["tflite"], lowest_runtimes=lambda _: needs)
        )
        return fleet.bundle(name)


def test_a_rollout_overrides_the_refusal_of_a_runtime_and_says_so(
    fleet: LoopbackFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = bundle_for_newer_runtime(fleet, "first", monkeypatch)
    policy = ("--policy", fleet.policy(QUICK))

    refused = fleet.rollout(bundle, *policy, "--json")
    assert refused.code == 8
    assert all(REASON in reason for reason in refused.json["reasons"])
    assert fleet.current("ant") == ""

    usual = ("--to", "fleet=all", "--accept-no-reboot-revert", "--json")
    plan = fleet.run("fleet", "plan", bundle, *usual, "--force")
    assert plan.code == 0, plan.err
    for entry in plan.json["targets"]:
        assert entry["refusals"] == []
        assert REASON in entry["overridden"][0]
        assert entry["variant"] == "cpu_int8"
    assert f"ant, bee: --force overrides: {REASON}" in plan.err

    done = fleet.rollout(bundle, *policy, "--force")
    assert done.code == 0, done.err
    assert f"--force overrides: {REASON}" in done.err
    assert set(fleet.states().values()) == {"confirmed"}
    assert REASON in fleet.run("fleet", "history", "1", "--json").out
