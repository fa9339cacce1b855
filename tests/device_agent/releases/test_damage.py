"""What a board finds changed on its disk, planted there, or replayed to it."""

import os
from pathlib import Path
from typing import Any

import pytest

from device_agent.contract.codes import (
    DIGEST_MISMATCH,
    EXPIRED,
    INCOMPLETE,
    REPLAYED,
    UNFIT,
    UNSAFE_ROOT,
    RefusalError,
)
from device_agent.contract.manifest import Hooks, Needs, Variant
from device_agent.contract.order import ROLLBACK
from device_agent.releases import release_store
from device_agent.store.store import Store
from tests.device_agent.releases.session import SampleBoard, SampleClock
from tests.device_agent.releases.signed import APP, SampleRelease, trust_request

FIRST, SECOND, THIRD = SampleRelease(1), SampleRelease(2), SampleRelease(3)


def refusal(board: SampleBoard, op: str, args: dict[str, Any]) -> RefusalError:
    with pytest.raises(RefusalError) as refused:
        board.ask(op, args)
    return refused.value


@pytest.fixture
def store(board: SampleBoard) -> Path:
    """Folder of a board that had one release and has another."""
    board.enrol()
    board.release(FIRST, 1)
    board.release(SECOND, 2)
    return board.root / "store"


def damage(path: Path) -> None:
    content = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))


def test_a_damaged_release_makes_way_for_the_one_before(
    board: SampleBoard, clock: SampleClock, store: Path
) -> None:
    damage((store / "apps" / APP / "current" / "model.tflite").resolve())
    board.ask("releases")
    assert board.app()["current"] == SECOND.digest  # hashed once a boot

    clock.reboot()
    assert board.app()["current"] == FIRST.digest
    assert "damaged" in board.app()["last_reason"]
    board.stage(SECOND)
    assert board.activate(SECOND, 3)["current"] == SECOND.digest
    assert board.current() == SECOND.files


def test_an_application_is_told_that_its_damaged_release_made_way(
    board: SampleBoard, clock: SampleClock, tmp_path: Path
) -> None:
    reload = tmp_path / "reload"
    reload.write_text(f'#!/bin/sh\nreadlink "$KEDGE_CURRENT" >> {tmp_path}/log\nexit 0\n')
    reload.chmod(0o755)
    own = Hooks(reload=[str(reload)])
    first, second = SampleRelease(1, hooks=own), SampleRelease(2, hooks=own)
    board.enrol()
    for counter, release in enumerate((first, second), 1):
        board.stage(release)
        board.activate(release, counter, hooks=True)
        board.ask("confirm", release.confirm_request(counter))
    reload.write_text(reload.read_text().replace("exit 0", "exit 1"))
    damage(board.root / "store" / "cas" / "sha256" / next(iter(second.blobs)))
    clock.reboot()

    assert board.app()["current"] == first.digest
    assert board.app()["current"] == first.digest
    links = (tmp_path / "log").read_text().splitlines()
    assert links == [f"../../rel/{each.digest}" for each in (first, second, first)]


def test_a_damaged_release_is_not_activated(board: SampleBoard, store: Path) -> None:
    board.stage(THIRD)
    damage((store / "rel" / THIRD.digest / "model.tflite").resolve())
    assert refusal(board, "activate", THIRD.activate_request(3)).code == DIGEST_MISMATCH
    assert board.current() == SECOND.files

    board.stage(THIRD)  # what is damaged is sent anew
    damage(store / "rel" / THIRD.digest / "manifest.json")
    assert refusal(board, "activate", THIRD.activate_request(3)).code == DIGEST_MISMATCH
    board.stage(THIRD)
    board.activate(THIRD, 3)


def test_no_way_back_is_said_and_repaired(board: SampleBoard, store: Path) -> None:
    board.stage(THIRD)
    board.activate(THIRD, 3)
    blob = (store / "rel" / SECOND.digest / "model.tflite").resolve()
    blob.unlink()

    assert refusal(board, "revert", THIRD.revert_request()).code == DIGEST_MISMATCH
    assert board.current() == THIRD.files
    board.stage(SECOND)
    board.ask("revert", THIRD.revert_request())
    assert board.current() == SECOND.files


@pytest.mark.parametrize("way", ["damaged", "empty", "absent"])
def test_floors_are_made_again(board: SampleBoard, store: Path, way: str) -> None:
    before = board.ask("releases")
    path = store / "floor.json"
    if way == "damaged":
        damage(path)
    elif way == "empty":
        path.write_bytes(b"")
    else:
        path.unlink()

    after = board.ask("releases")
    for app in (before["apps"][APP], after["apps"][APP]):
        app.pop("since")
    assert after["apps"] == before["apps"]
    assert after["epoch"] == before["epoch"]
    assert refusal(board, "activate", FIRST.activate_request(1)).code == REPLAYED


def test_floors_without_a_log_follow_from_the_running_release(
    board: SampleBoard, store: Path
) -> None:
    (store / "floor.json").unlink()
    (store / "log" / "journal").unlink()

    assert board.app()["release_counter"] == 2
    assert board.current() == SECOND.files


def test_a_damaged_trial_goes_back(board: SampleBoard, store: Path) -> None:
    board.stage(THIRD)
    board.activate(THIRD, 3)
    damage(store / "apps" / APP / "trial.json")

    assert board.app()["current"] == SECOND.digest
    assert "damaged" in board.app()["last_reason"]
    assert (store / "apps" / APP / "trial.json.damaged").exists()
    assert board.activate(THIRD, 3)["current"] == SECOND.digest
    assert board.activate(THIRD, 4)["current"] == THIRD.digest


def test_a_log_that_was_torn_or_changed(board: SampleBoard, store: Path) -> None:
    path = store / "log" / "journal"
    whole = board.ask("release_log", {"after": 0})["entries"]
    assert [entry["number"] for entry in whole] == list(range(1, len(whole) + 1))
    content = path.read_bytes()
    path.write_bytes(content + content[:50])
    assert board.ask("release_log", {"after": 0})["entries"] == whole

    board.stage(THIRD)
    board.activate(THIRD, 3)
    log = board.ask("release_log", {"after": len(whole)})["entries"]
    assert [entry["event"] for entry in log] == ["activate"]
    changed = path.read_bytes().replace(b'"event":"confirm"', b'"event":"confirn"', 1)
    path.write_bytes(changed)
    assert len(board.ask("release_log", {"after": 0})["entries"]) < len(whole)
    board.ask("confirm", THIRD.confirm_request(3))
    assert (store / "log" / "journal.damaged").read_bytes() == changed
    assert board.app()["last_event"] == "confirm"


def test_the_log_is_bounded(
    board: SampleBoard, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device_agent.store.release_log.MOST_LOG_BYTES", 2000)
    for counter in range(3, 8):
        release = SampleRelease(counter)
        board.release(release, counter)
    entries = board.ask("release_log", {"after": 0})["entries"]

    numbers = [entry["number"] for entry in entries]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert (store / "log" / "journal").stat().st_size < 4000


@pytest.mark.parametrize("name", ["cas", "cas/sha256", "rel", "apps", f"apps/{APP}", "trust"])
def test_a_link_in_the_place_of_a_folder(board: SampleBoard, store: Path, name: str) -> None:
    place, away = store / name, store.parent.parent / "away"
    place.rename(away)
    away.chmod(0o777)
    place.symlink_to(away)
    board.put(b"something else")
    try:
        board.stage(THIRD)
        board.activate(THIRD, 3)
    except RefusalError as refusal:
        assert refusal.code == UNSAFE_ROOT


def test_names_of_others_among_files_and_releases(board: SampleBoard, store: Path) -> None:
    for folder in ("cas/sha256", "rel"):
        (store / folder / ".nfs0000000000a1").write_text("open on another computer")
        (store / folder / "lost+found").mkdir()
    args = {"grace_s": 0, "epoch": 1, "pinned": []}
    assert board.ask("collect", args)["removed"] >= 0
    assert board.app()["current"] == SECOND.digest
    assert ".nfs0000000000a1" not in board.ask("missing", {"sha256": [], "sizes": []})["bases"]
    for folder in ("cas/sha256", "rel"):
        assert (store / folder / ".nfs0000000000a1").is_file()


def test_a_file_in_the_place_of_a_folder_of_signatures(board: SampleBoard, store: Path) -> None:
    folder = store / "rel" / SECOND.digest / "signatures"
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("no folder")
    board.stage(THIRD)
    fault = refusal(board, "activate", SECOND.activate_request(3))
    assert fault.code == DIGEST_MISMATCH
    assert "damaged" in str(fault)


def test_links_in_the_place_of_files(board: SampleBoard, store: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("keep me")
    for sha256, content in THIRD.blobs.items():
        (store / "cas" / "sha256" / sha256).unlink(missing_ok=True)
        (store / "cas" / "sha256" / sha256).symlink_to(secret)
        assert board.put(content)
    board.ask("stage", THIRD.stage_request())
    board.activate(THIRD, 3)
    assert board.current() == THIRD.files

    current = store / "apps" / APP / "current"
    current.unlink()
    current.symlink_to(tmp_path)
    assert refusal(board, "confirm", THIRD.confirm_request(3)).code in ("", UNSAFE_ROOT)
    assert secret.read_text() == "keep me"
    assert refusal(board, "releases", {}).code == UNSAFE_ROOT


def test_a_release_folder_that_is_a_link(board: SampleBoard, store: Path, tmp_path: Path) -> None:
    (store / "rel" / THIRD.digest).symlink_to(tmp_path)
    for content in THIRD.blobs.values():
        board.put(content)

    assert refusal(board, "stage", THIRD.stage_request()).code == UNSAFE_ROOT
    assert refusal(board, "activate", THIRD.activate_request(3)).code == UNSAFE_ROOT


@pytest.mark.parametrize(
    "path",
    ["../../etc/passwd", "/etc/passwd", "a/../b", ".ssh/keys", "manifest.json", "signatures/0.sig",
     "variant", "a//b", "a/" * 5 + "b", "", "a\nb"],
)  # fmt: skip
def test_paths_that_lead_elsewhere(board: SampleBoard, store: Path, path: str) -> None:
    release = SampleRelease(9, {"model.tflite": b"m", path: b"x"})
    for content in release.blobs.values():
        board.put(content)
    before = sorted(map(str, store.parent.parent.rglob("*")))

    assert refusal(board, "stage", release.stage_request()).code == DIGEST_MISMATCH
    after = sorted(map(str, store.parent.parent.rglob("*")))
    assert after == before


def test_a_clock_that_is_wrong(board: SampleBoard, clock: SampleClock, store: Path) -> None:
    clock.wall_clock_s = 0.0  # 1970
    board.stage(THIRD)
    state = board.activate(THIRD, 3)
    assert state["current"] == THIRD.digest
    board.ask("confirm", THIRD.confirm_request(3))
    late = {"created": "2030-01-01T00:00:00Z", "not_after": "2031-01-01T00:00:00Z"}
    board.activate(THIRD, 4, **late)
    board.ask("confirm", THIRD.confirm_request(4, **late))
    early = {"not_after": "2029-01-01T00:00:00Z"}
    fault = refusal(board, "activate", SECOND.activate_request(5, kind=ROLLBACK, **early))
    assert fault.code == EXPIRED  # a newer time was signed already
    assert "has a record that was signed at 2030-01-01" in str(fault)
    assert "enrol it anew" in fault.hint

    clock.wall_clock_s = 2.21e9  # 2040
    last = SampleRelease(4)
    board.stage(last)
    board.ask("trust", trust_request("ann", "bob", version=2, signed_by=["ann"]))
    fault = refusal(board, "activate", last.activate_request(6))
    assert fault.code == EXPIRED
    assert "2040" in str(fault)
    assert "clock" in fault.hint


def test_a_release_that_has_expired(board: SampleBoard, store: Path) -> None:
    old = SampleRelease(5, expires="2026-02-01T00:00:00Z")
    board.stage(old)

    assert refusal(board, "activate", old.activate_request(3)).code == EXPIRED


def test_orders_of_others(board: SampleBoard, store: Path) -> None:
    board.stage(THIRD)
    other_fleet = refusal(board, "activate", THIRD.activate_request(3, fleet="line-2"))
    assert "fleet" in str(other_fleet)
    other_app = refusal(board, "activate", THIRD.activate_request(3, app="other"))
    assert other_app.code == UNFIT


def test_another_architecture(board: SampleBoard, store: Path) -> None:
    variant = Variant(
        "cpu_int8",
        "tflite",
        "model.tflite",
        THIRD.manifest.variants[0].files,
        needs=Needs(architectures=["m68k"]),
    )
    release = SampleRelease(3, variants=[variant])
    board.stage(release)

    fault = refusal(board, "activate", release.activate_request(3))
    assert fault.code == UNFIT
    assert "m68k" in str(fault)
    assert os.uname().machine in str(fault)


def test_a_stranger_cannot_undo_what_another_epoch_did(board: SampleBoard, store: Path) -> None:
    board.stage(THIRD, epoch=2)
    board.activate(THIRD, 3, epoch=2)
    late = refusal(board, "revert", THIRD.revert_request(epoch=1))

    assert late.code == "stale_epoch"
    assert board.current() == THIRD.files


def test_a_file_that_the_manifest_does_not_have(board: SampleBoard, store: Path) -> None:
    release = SampleRelease(7, {"model.tflite": b"whole file"})
    board.put(b"half a file")

    assert refusal(board, "stage", release.stage_request()).code == INCOMPLETE


def test_two_processes_wait_for_each_other(
    board: SampleBoard, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_store, "LOCK_TIMEOUT_S", 0.2)

    with release_store.ReleaseStore(Store(str(board.root))).lock():
        assert refusal(board, "stage", THIRD.stage_request()).code == "busy"
    board.stage(THIRD)
