"""Rollouts over real boards behind a real sshd, with the commands that an operator types."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from device_agent.contract.manifest import Hooks
from tests.boards import require_board_parts
from tests.kedge import assert_refused
from tests.targets.loopback import cut_sessions
from tests.toolkit.bundle.small_bundle import make_key
from tests.toolkit.fleet.loopback_fleet import FAULTS, LoopbackFleet, loopback_fleet, model_of
from tests.toolkit.fleet.policies import CAREFUL, ONE_THEN_ALL, PATIENT, QUICK
from toolkit.bundle.bundle_file import read_bundle

#: Command of an application that works unless a file beside the store says otherwise.
HEALTH = Hooks(health=["/bin/sh", "-c", 'test ! -e "${KEDGE_CURRENT%/store/*}/sick"'])

GOOD = [f"good{number:02}" for number in range(14)]


@pytest.fixture(autouse=True)
def needs_sshd() -> None:
    require_board_parts("ssh")


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[LoopbackFleet]:
    """Three good boards."""
    with loopback_fleet(tmp_path, dict.fromkeys(["ant", "bee", "cow"], "good")) as boards:
        yield boards


@pytest.fixture
def five(tmp_path: Path) -> Iterator[LoopbackFleet]:
    """Five good boards."""
    names = ["ant", "bee", "cow", "dog", "elk"]
    with loopback_fleet(tmp_path, dict.fromkeys(names, "good")) as boards:
        yield boards


def digest(fleet: LoopbackFleet, bundle: str) -> str:
    return read_bundle(fleet.folder / bundle).digest


def start(fleet: LoopbackFleet, *arguments: str) -> "subprocess.Popen[str]":
    """Start a command, of which each event is a line of JSON."""
    command = [sys.executable, "-m", "toolkit.cli", "fleet", *arguments, "--json"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=fleet.folder, text=True, **pipes)  # type: ignore[call-overload,no-any-return]


def start_rollout(fleet: LoopbackFleet, bundle: str) -> "subprocess.Popen[str]":
    usual = ("--to", "fleet=all", "--sign", "release_key", "--accept-no-reboot-revert")
    return start(fleet, "rollout", bundle, *usual, "--policy", fleet.policy(ONE_THEN_ALL))


def wait_for(process: "subprocess.Popen[str]", **fields: str) -> None:
    """Read events until one has these fields."""
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if fields.items() <= event.items():
            return
    assert process.stderr is not None
    raise AssertionError(f"no event {fields}: {process.stderr.read()}")


def test_of_twenty_boards_the_bad_ones_keep_their_release(tmp_path: Path) -> None:
    bad = [*FAULTS, "unreachable"]
    faults = {**dict.fromkeys(GOOD, "good"), **{fault: fault for fault in bad}}
    with loopback_fleet(tmp_path, faults) as fleet:
        first, second = fleet.bundle("first"), fleet.bundle("second")
        usual = ("--sign", "release_key", "--accept-no-reboot-revert", "--policy")
        before = fleet.run(
            "fleet", "rollout", first, "--to", "slow,good00", *usual, fleet.policy(QUICK)
        )
        assert before.code == 0, before.err
        ran = fleet.rollout(second, "--policy", fleet.policy(PATIENT))
        current = {name: fleet.current(name) for name in fleet.names}
        states = fleet.states()
        history = fleet.run("fleet", "history", "2")

    assert ran.code == 5, ran.err  # something was damaged on a board
    assert {name: states[name] for name in bad} == {
        **dict.fromkeys(FAULTS, "failed"),
        "unreachable": "unreachable",
    }
    assert {states[name] for name in GOOD} == {"confirmed"}
    assert {current[name] for name in GOOD} == {digest(fleet, second)}
    assert current["slow"] == digest(fleet, first)
    assert {current[name] for name in bad if name != "slow"} == {""}
    for name, words in {
        "slow": "gate latency_ratio: the new release is slower",
        "wrong": "gate parity",
        "crashing": "aborted",
        "full": "0 are free",
        "tampered": "damaged",
        "unreachable": "Connection refused",
    }.items():
        lines = [line for line in ran.err.splitlines() if line.startswith(f"{name}: ")]
        assert any(words in line for line in lines), ran.err
    assert history.code == 0
    assert "chain of the journal is whole" in history.err


def test_the_first_wrong_board_stops_a_careful_rollout(tmp_path: Path) -> None:
    with loopback_fleet(tmp_path, dict.fromkeys(["ant", "bee", "cow"], "wrong")) as fleet:
        ran = fleet.rollout(fleet.bundle("second"), "--policy", fleet.policy(CAREFUL))
        states = fleet.states()
        current = {fleet.current(name) for name in fleet.names}
        again = fleet.run("fleet", "resume")

    assert ran.code == 8, ran.err
    assert "failure budget" in ran.out
    assert sorted(states.values()) == ["failed", "staged", "staged"]
    assert current == {""}
    assert_refused(again, 3, "every rollout is over")


def test_a_good_rollout_and_the_way_back(five: LoopbackFleet) -> None:
    first, second = five.bundle("first"), five.bundle("second")
    policy = five.policy(QUICK)
    plan = five.run(
        "fleet", "plan", first, "--to", "fleet=all", "--accept-no-reboot-revert", "--json"
    )
    assert five.rollout(first, "--policy", policy).code == 0
    ran = five.rollout(second, "--policy", policy)
    status = five.run("fleet", "status", "--json")
    metrics = five.run("fleet", "status", "--metrics").out
    back = five.run("fleet", "rollback", "--sign", "release_key")

    assert plan.code == 0, plan.err
    assert plan.json["proven_failure_rate"] == pytest.approx(0.95)
    assert [wave["boards"] for wave in plan.json["waves"]] == [1, 2, 2]
    assert ran.code == 0, ran.err
    assert status.code == 0, status.err
    targets = status.json["targets"]
    assert [entry["name"] for entry in targets] == five.names
    for entry in targets:
        assert entry["current"] == entry["wanted"] == digest(five, second)
        assert entry["app"] == "detector"
        assert entry["since"].endswith("Z")
        assert entry["last_measurement"]["gates"]
    assert f'release="{digest(five, second)}"' in metrics
    assert back.code == 0, back.err
    assert {five.current(name) for name in five.names} == {digest(five, first)}
    assert set(five.states().values()) == {"confirmed"}


def test_a_sick_application_goes_back_and_stops_the_rollout(fleet: LoopbackFleet) -> None:
    first, second = fleet.bundle("first", HEALTH), fleet.bundle("second", HEALTH)
    assert fleet.rollout(first, "--policy", fleet.policy(QUICK)).code == 0
    for name in fleet.names:
        (fleet.root(name) / "sick").touch()
    ran = fleet.rollout(second, "--policy", fleet.policy(ONE_THEN_ALL))

    assert ran.code == 8, ran.err
    assert "gate health: the health command ended with 1" in ran.err
    assert {fleet.current(name) for name in fleet.names} == {digest(fleet, first)}
    assert sorted(fleet.states().values()) == ["reverted", "staged", "staged"]


def test_a_killed_controller_is_resumed(fleet: LoopbackFleet) -> None:
    bundle = fleet.bundle("first")
    with start_rollout(fleet, bundle) as process:
        wait_for(process, step="activate", event="begin")
        process.kill()
    other = fleet.rollout(bundle, "--policy", "policy.toml")
    pause = fleet.run("fleet", "pause")
    ran = fleet.run("fleet", "resume")

    assert_refused(other, 3, "is not over", "kedge fleet resume")
    assert pause.code == 0
    assert "No controller runs here" in pause.err
    assert ran.code == 0, ran.err
    assert {fleet.current(name) for name in fleet.names} == {digest(fleet, bundle)}
    assert fleet.run("fleet", "history").code == 0


def test_ctrl_c_pauses_and_resume_goes_on(fleet: LoopbackFleet) -> None:
    bundle = fleet.bundle("first")
    with start_rollout(fleet, bundle) as process:
        wait_for(process, step="activate", event="begin")
        process.send_signal(signal.SIGINT)
        code = process.wait()
    paused = fleet.states()
    ran = fleet.run("fleet", "resume")

    assert code == 130
    assert "trial" not in paused.values()
    assert ran.code == 0, ran.err
    assert set(fleet.states().values()) == {"confirmed"}


def test_of_two_controllers_one_is_refused_or_fenced_off(
    fleet: LoopbackFleet, tmp_path: Path
) -> None:
    bundle = fleet.bundle("first")
    copy = tmp_path / "copy"
    with start_rollout(fleet, bundle) as process:
        wait_for(process, step="stage", state="staged")
        os.kill(process.pid, signal.SIGSTOP)
        try:
            refused = fleet.run("fleet", "resume")
            copy.mkdir()
            for name in ("kedge.toml", ".kedge"):
                source = fleet.folder / name
                copier = shutil.copytree if source.is_dir() else shutil.copy
                copier(source, copy / name)
            ran = _in(fleet, copy).run("fleet", "resume")
        finally:
            os.kill(process.pid, signal.SIGCONT)
        words = process.communicate()[1]

    assert_refused(refused, 6, "another controller runs already")
    assert ran.code == 0, ran.err
    assert process.returncode == 6, words
    assert "another controller has taken over" in words
    assert {fleet.current(name) for name in fleet.names} == {digest(fleet, bundle)}


def _in(fleet: LoopbackFleet, folder: Path) -> LoopbackFleet:
    other = object.__new__(LoopbackFleet)
    other.__dict__.update(fleet.__dict__, folder=folder)
    return other


def test_a_cut_link_is_tried_again(fleet: LoopbackFleet) -> None:
    bundle = fleet.bundle("first")
    with start_rollout(fleet, bundle) as process:
        wait_for(process, step="activate", event="begin")
        with contextlib.suppress(ProcessLookupError):
            cut_sessions(fleet.server.keeper_pid)
        words = process.communicate()[1]

    assert process.returncode == 0, words
    assert {fleet.current(name) for name in fleet.names} == {digest(fleet, bundle)}


def test_a_board_that_trusts_nobody_is_left_out(fleet: LoopbackFleet) -> None:
    bundle = fleet.bundle("first", HEALTH)
    assert fleet.run("target", "set", "cow", "hooks=").code == 0
    shutil.rmtree(fleet.root("ant") / "store")
    plan = fleet.run("fleet", "plan", bundle, "--to", "fleet=all")
    nobody = fleet.run("fleet", "rollout", bundle, "--to", "ant", "--sign", "release_key")
    begun = fleet.run("fleet", "history", "--json").json["rollouts"]
    ran = fleet.rollout(bundle, "--policy", fleet.policy(QUICK))

    assert plan.code == 8
    assert nobody.code == 8, nobody.err
    assert "ant would be refused: it trusts nobody" in nobody.out
    assert "nothing began" in nobody.out
    assert begun == []
    assert "ant would be refused: it trusts nobody who signs releases" in plan.out
    assert "ant, bee, cow would be refused: after a reboot during the trial" in plan.out
    assert re.search(r"commands \(health\) that do not run without .*\(cow\)", plan.out)
    assert "% of all boards fail" not in plan.out
    assert ran.code == 8, ran.err
    states = fleet.states()
    assert states.pop("ant") == "skipped"
    assert set(states.values()) == {"confirmed"}


def test_only_trusted_keys_give_orders_and_the_plan_counts_those_of_a_release(
    fleet: LoopbackFleet,
) -> None:
    bundle = fleet.bundle("first")
    make_key(fleet.folder / "foreign_key")
    usual = ("--to", "fleet=all", "--accept-no-reboot-revert", "--policy", fleet.policy(QUICK))
    ran = fleet.run("fleet", "rollout", bundle, *usual, "--sign", "foreign_key")
    begun = fleet.run("fleet", "history", "--json").json["rollouts"]
    public = (fleet.folder / "foreign_key.pub").read_text()
    signers = fleet.folder / "signers"
    signers.write_text(f"{signers.read_text()}other@example.org {public}")
    two = ("--signers", "signers", "--threshold", "2", "--sign", "release_key")
    enrolled = fleet.run("target", "trust", *fleet.names, *two, "--sign", "foreign_key")
    plan = fleet.run("fleet", "plan", bundle, "--to", "fleet=all", "--accept-no-reboot-revert")

    assert_refused(ran, 8, "nothing began: the order lacks signatures: 1 of the 1", "--sign KEY")
    assert begun == []
    assert {fleet.current(name) for name in fleet.names} == {""}
    assert enrolled.code == 0, enrolled.err
    assert plan.code == 8, plan.err
    lack = "the release lacks signatures: 2 of the 2 signers of trust root 2 must sign, 1 did"
    assert f"ant, bee, cow would be refused: {lack} (release@example.org)" in plan.out


def test_a_status_tells_a_board_that_is_not_asked_from_one_that_does_not_answer(
    fleet: LoopbackFleet,
) -> None:
    assert fleet.rollout(fleet.bundle("first"), "--policy", fleet.policy(QUICK)).code == 0
    link = fleet.root("bee") / "store/apps/detector/current"
    link.unlink()
    link.symlink_to("/etc")
    status = fleet.run("fleet", "status")
    plain = fleet.run("fleet", "status", "--json").json["targets"]
    offline = fleet.run("fleet", "status", "--offline")

    assert status.code == 6, status.err
    assert "cannot be read" in status.out
    assert "does not answer" not in status.out + offline.out
    assert "current is not a link to a release" in status.err
    assert f"  → {plain[1]['hint']}" in status.err
    assert plain[1]["hint"].endswith(".")
    assert [(one["reachable"], one["known"]) for one in plain] == [
        (True, True),
        (True, False),
        (True, True),
    ]
    assert offline.code == 0
    assert offline.out.count("not asked") == 3


def test_a_check_measures_again_and_says_no_to_a_changed_board(fleet: LoopbackFleet) -> None:
    bundle = fleet.bundle("first", HEALTH)
    assert fleet.rollout(bundle, "--policy", fleet.policy(QUICK)).code == 0
    good = fleet.run("fleet", "check", "--json")
    (fleet.root("bee") / "sick").touch()
    for path in fleet.folder.glob(".kedge/releases/*/*/model.tflite"):
        path.write_bytes(b"damaged on this computer")  # read anew from the bundle
    inventory = fleet.folder / "kedge.toml"
    text = inventory.read_text()
    inventory.write_text(text.replace(fleet.server.address, "root@127.0.0.1:9", 1))  # ant's
    bad = fleet.run("fleet", "check")
    status = fleet.run("fleet", "status", "--offline", "--json").json

    assert good.code == 0, good.err
    assert {entry["name"] for entry in good.json["targets"]} == {*fleet.names}
    assert bad.code == 8, bad.err
    assert "bee: gate health: the health command ended with 1" in bad.out
    assert "cow" in bad.out
    assert "cow: " not in bad.out
    silent = bad.out[bad.out.index("ant: ") :].splitlines()
    assert silent[1].startswith("  → ")
    measured = {entry["name"]: entry["last_measurement"] for entry in status["targets"]}
    assert measured["bee"]["step"] == "check"
    assert measured["bee"]["gates"][0]["verdict"] == "fail"


def test_a_file_is_pushed_to_many_boards(fleet: LoopbackFleet) -> None:
    model = fleet.folder / "model.tflite"
    sizes = []
    for name in ("first", "second", "second"):
        model.write_bytes(model_of(name))
        ran = fleet.run("push", "model.tflite", "--to", "fleet=all", "--json")
        assert ran.code == 0, ran.err
        sizes.append([entry["sent_bytes"] for entry in ran.json["targets"]])
        for entry in ran.json["targets"]:
            assert Path(entry["path"]).read_bytes() == model.read_bytes()
    (fleet.root("ant") / "store/scratch" / ran.json["targets"][0]["sha256"]).write_bytes(b"bad")
    again = fleet.run("push", "model.tflite", "--to", "fleet=all", "--json")

    assert all(size >= model.stat().st_size for size in [*sizes[0], *sizes[1]])
    assert all(size < model.stat().st_size + 1000 for size in sizes[2])
    assert again.json["targets"][0]["was_damaged"]
    for name in fleet.names:
        assert not [*(fleet.root(name) / "store/partial").iterdir()]
