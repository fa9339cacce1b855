"""The life of a release on a board: staged, active on trial, confirmed or reverted."""

from typing import Any

import pytest

from device_agent.contract.codes import (
    BELOW_FLOOR,
    INCOMPLETE,
    ON_TRIAL,
    REPLAYED,
    STALE_EPOCH,
    RefusalError,
)
from device_agent.contract.order import ROLLBACK
from tests.device_agent.releases.session import SampleBoard, SampleClock
from tests.device_agent.releases.signed import APP, FLEET, SampleRelease


def refusal(board: SampleBoard, op: str, args: dict[str, Any]) -> str:
    with pytest.raises(RefusalError) as refused:
        board.ask(op, args)
    return refused.value.code


def test_a_board_without_releases(board: SampleBoard) -> None:
    state = board.ask("releases")

    assert state["apps"] == {}
    assert (state["fleet"], state["root_version"], state["epoch"]) == ("", 0, 0)
    assert state["verifier"].startswith("OpenSSH")
    assert state["boot_id"] == "boot-1"
    assert state["free_bytes"] > 0
    assert not board.root.exists()


def test_a_release_is_staged_activated_and_confirmed(board: SampleBoard) -> None:
    board.enrol()
    first, second = SampleRelease(1), SampleRelease(2)
    board.release(first, 1)
    board.stage(second)
    assert board.current() == first.files

    state = board.activate(second, 2)
    assert board.current() == second.files
    assert (state["current"], state["previous"]) == (second.digest, first.digest)
    assert state["trial"]["release"] == second.digest
    assert 599 < state["trial"]["remaining_s"] <= 600
    assert board.watched[-1] == APP

    board.ask("confirm", second.confirm_request(2))
    state = board.app()
    assert state["trial"] is None
    assert (state["order_counter"], state["release_counter"]) == (2, 2)
    assert (state["version"], state["variant"]) == ("1.2", "cpu_int8")
    assert (state["last_event"], state["last_reason"]) == ("confirm", "")
    assert board.ask("releases")["fleet"] == FLEET


def test_a_trial_is_reverted_by_request(board: SampleBoard) -> None:
    board.enrol()
    releases = [SampleRelease(number) for number in (1, 2, 3)]
    board.release(releases[0], 1)
    board.release(releases[1], 2)
    board.stage(releases[2])
    board.activate(releases[2], 3)

    for _ in range(2):  # whoever lost the answer asks again
        state = board.ask("revert", releases[2].revert_request("p95 is 3 times as high"))["state"]
    assert board.current() == releases[1].files
    assert (state["current"], state["previous"]) == (releases[1].digest, releases[0].digest)
    assert (state["last_event"], state["last_reason"]) == ("revert", "p95 is 3 times as high")
    events = [entry["event"] for entry in board.ask("release_log", {"after": 0})["entries"]]
    assert events.count("revert") == 1


def test_the_first_release_is_reverted_to_none(board: SampleBoard) -> None:
    board.enrol()
    release = SampleRelease(1)
    board.stage(release)
    board.activate(release, 1)
    board.ask("revert", release.revert_request())

    assert board.current() == {}
    assert board.app()["current"] == ""


def test_a_trial_reverts_after_its_deadline(board: SampleBoard, clock: SampleClock) -> None:
    board.enrol()
    first, second = SampleRelease(1), SampleRelease(2)
    board.release(first, 1)
    board.stage(second)
    board.activate(second, 2, deadline_s=60)
    clock.since_boot_s += 59
    assert board.app()["current"] == second.digest

    clock.since_boot_s += 2
    assert refusal(board, "confirm", second.confirm_request(2)) == ON_TRIAL
    assert board.app()["current"] == first.digest
    assert "deadline" in board.app()["last_reason"]


def test_a_trial_reverts_after_a_reboot(board: SampleBoard, clock: SampleClock) -> None:
    board.enrol()
    first, second = SampleRelease(1), SampleRelease(2)
    board.release(first, 1)
    board.stage(second)
    board.activate(second, 2)
    clock.reboot()

    assert board.app()["current"] == first.digest
    assert "restarted" in board.app()["last_reason"]
    assert board.current() == first.files


def test_an_order_is_carried_out_once_an_epoch(board: SampleBoard) -> None:
    board.enrol()
    first, second = SampleRelease(1), SampleRelease(2)
    board.release(first, 1)
    board.stage(second)
    board.activate(second, 2)
    assert board.activate(second, 2)["current"] == second.digest
    board.ask("revert", second.revert_request())

    assert board.activate(second, 2)["current"] == first.digest  # the state says what happened
    assert board.activate(second, 2, epoch=2)["current"] == second.digest
    board.ask("confirm", second.confirm_request(2, epoch=2))
    board.ask("confirm", second.confirm_request(2, epoch=2))
    assert board.activate(second, 2, epoch=3)["trial"] is None


def test_another_controller_takes_a_trial_over(board: SampleBoard, clock: SampleClock) -> None:
    board.enrol()
    release = SampleRelease(1)
    board.stage(release)
    board.activate(release, 1, deadline_s=60)
    clock.since_boot_s += 50
    state = board.activate(release, 1, epoch=2, deadline_s=60)

    assert state["trial"]["remaining_s"] == 60
    assert state["trial"]["epoch"] == 2
    assert refusal(board, "confirm", release.confirm_request(1, epoch=1)) == STALE_EPOCH
    board.ask("confirm", release.confirm_request(1, epoch=2))


def test_a_replaced_controller_is_refused(board: SampleBoard) -> None:
    board.enrol()
    release = SampleRelease(1)
    board.stage(release, epoch=7)

    assert board.ask("releases")["epoch"] == 7
    for op, args in (
        ("stage", release.stage_request(6)),
        ("activate", release.activate_request(1, epoch=6)),
        ("confirm", release.confirm_request(1, epoch=6)),
        ("revert", release.revert_request(epoch=6)),
    ):
        assert refusal(board, op, args) == STALE_EPOCH


def test_an_old_order_is_not_replayed_and_a_rollback_goes_back(board: SampleBoard) -> None:
    board.enrol()
    first, second = SampleRelease(1), SampleRelease(2)
    board.release(first, 1)
    board.release(second, 2)

    assert refusal(board, "activate", first.activate_request(1)) == REPLAYED
    assert refusal(board, "activate", first.activate_request(3)) == REPLAYED
    board.activate(first, 3, kind=ROLLBACK)
    board.ask("confirm", first.confirm_request(3, kind=ROLLBACK))
    assert board.current() == first.files
    board.release(second, 4)
    assert board.current() == second.files


def test_a_release_below_the_security_floor_is_refused(board: SampleBoard) -> None:
    board.enrol()
    first, second = SampleRelease(1), SampleRelease(2, security_floor=2)
    board.release(first, 1)
    board.release(second, 2)

    assert refusal(board, "activate", first.activate_request(3, kind=ROLLBACK)) == BELOW_FLOOR
    assert board.app()["security_floor"] == 2


def test_a_confirmed_release_is_not_reverted_without_an_order(board: SampleBoard) -> None:
    board.enrol()
    first, second = SampleRelease(1), SampleRelease(2)
    board.release(first, 1)
    board.release(second, 2)

    assert refusal(board, "revert", second.revert_request()) == ON_TRIAL
    assert board.current() == second.files


def test_a_second_release_waits_for_the_first(board: SampleBoard) -> None:
    board.enrol()
    first, second = SampleRelease(1), SampleRelease(2)
    board.stage(first)
    board.stage(second)
    board.activate(first, 1)

    assert refusal(board, "activate", second.activate_request(2)) == ON_TRIAL
    assert refusal(board, "confirm", second.confirm_request(2)) == ON_TRIAL


def test_absent_files_are_named(board: SampleBoard) -> None:
    board.enrol()
    release = SampleRelease(1)
    with pytest.raises(RefusalError, match=sorted(release.blobs)[0]) as refused:
        board.ask("stage", release.stage_request())

    assert refused.value.code == INCOMPLETE
    board.stage(release)
    wanted = {"sha256": list(release.blobs), "sizes": [len(b) for b in release.blobs.values()]}
    assert board.ask("missing", wanted)["missing"] == []
    assert set(board.ask("missing", wanted)["bases"]) == set(release.blobs)
