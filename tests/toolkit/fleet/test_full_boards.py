"""A real board whose disk takes nothing: one message, cause and next step in every command."""

import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.kedge import assert_refused
from tests.targets.small_disk import small_disk
from tests.toolkit.fleet.loopback_fleet import LoopbackFleet, loopback_fleet
from tests.toolkit.fleet.policies import QUICK

ACCEPT = ("--accept-no-reboot-revert",)
NEXT_STEP = "kedge target set a root=FOLDER"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoopbackFleet]:
    with loopback_fleet(tmp_path_factory.mktemp("fleet"), {"a": "good"}) as fleet:
        fleet.bundle("first")
        yield fleet


def fill(root: Path) -> None:
    with suppress(OSError), (root / "other").open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65536))


def assert_all_refuse(fleet: LoopbackFleet, cause: str, meaning: str) -> None:
    for command in (["push"], ["bench"]):
        ran = fleet.run(*command, "model-first/model.tflite", "--on", "a")
        assert_refused(ran, 6, f"a: {meaning}", NEXT_STEP)
    plan = ("fleet", "plan", "first.bundle", "--to", "a", *ACCEPT)
    plain = fleet.run(*plan, "--json")
    assert plain.code == 8
    (entry,) = plain.json["targets"]
    assert entry["cause"] == cause
    assert entry["refusals"][0].startswith(f"a: {meaning}")
    assert NEXT_STEP in entry["hint"]
    assert NEXT_STEP in fleet.run(*plan).out
    ran = fleet.rollout("first.bundle")
    assert ran.code == 8
    assert meaning in ran.out
    assert NEXT_STEP in ran.out
    assert "nothing began" in ran.out


def test_no_byte_is_free_for_the_agent(fleet: LoopbackFleet) -> None:
    with small_disk(fleet.root("a"), "size=64k"):
        fill(fleet.root("a"))
        assert_all_refuse(fleet, "no_space", "its disk is full")


def test_no_byte_is_free_beside_the_agent(fleet: LoopbackFleet) -> None:
    with small_disk(fleet.root("a"), "size=16m"):
        assert fleet.run("target", "trust", "a", "--signers", "signers").code == 0
        fill(fleet.root("a"))
        assert_all_refuse(fleet, "no_space", "its disk is full")


def test_no_more_files_beside_the_agent(fleet: LoopbackFleet) -> None:
    root = fleet.root("a")
    with small_disk(root, "size=16m,nr_inodes=64"):
        assert fleet.run("target", "trust", "a", "--signers", "signers").code == 0
        with suppress(OSError):
            for number in range(64):
                (root / f"other{number}").touch()
        assert_all_refuse(fleet, "no_space", "its disk is full")


def test_a_read_only_disk(fleet: LoopbackFleet) -> None:
    with small_disk(fleet.root("a"), "size=16m,ro"):
        for command in ("push", "bench"):
            ran = fleet.run(command, "model-first/model.tflite", "--on", "a")
            assert_refused(ran, 6, "cannot be written", "Name a writable folder")
        plan = fleet.run("fleet", "plan", "first.bundle", "--to", "a", *ACCEPT, "--json")
        assert plan.json["targets"][0]["cause"] == "read_only"


def test_a_disk_that_became_read_only(fleet: LoopbackFleet) -> None:
    root = fleet.root("a")
    with small_disk(root, "size=16m"):
        assert fleet.run("target", "trust", "a", "--signers", "signers").code == 0
        subprocess.run(["mount", "-o", "remount,ro", root], check=True)
        assert_all_refuse(fleet, "read_only", "its disk cannot be written")


def test_a_full_board_that_runs_the_release_already_is_done(fleet: LoopbackFleet) -> None:
    with small_disk(fleet.root("a"), "size=16m"):
        assert fleet.run("target", "trust", "a", "--signers", "signers").code == 0
        policy = fleet.policy(QUICK)
        assert fleet.rollout("first.bundle", "--policy", policy).code == 0
        fill(fleet.root("a"))
        plan = fleet.run("fleet", "plan", "first.bundle", "--to", "a", *ACCEPT)
        ran = fleet.rollout("first.bundle", "--policy", policy)
        assert plan.code == 0, plan.out
        assert ran.code == 0, ran.err
