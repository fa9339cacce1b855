"""Crashes at every change of the disk while a board works on its releases.

Each call that changes the disk is recorded. For every prefix of these calls, and for every way in
which a crash may lose what was not synced, the disk is written out and the agent starts on it.
"""

import functools
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from device_agent import signatures
from device_agent.contract.codes import RefusalError
from device_agent.contract.manifest import parse_manifest
from device_agent.releases import activation, board_state, staging, trust_roots
from device_agent.releases.release_store import ReleaseStore
from device_agent.store.release_log import ReleaseLog
from device_agent.store.store import Store
from tests.device_agent.releases.session import SampleBoard, SampleClock
from tests.device_agent.releases.signed import APP, SampleRelease, trust_request
from tests.faults.recorded_disk import LOSSES, SampleDisk, record_calls, write_tree

OLDEST, OLD, NEW = SampleRelease(1), SampleRelease(2), SampleRelease(3, security_floor=2)


@dataclass(frozen=True)
class Scenario:
    """An operation, and what was before it."""

    name: str
    prepare: Callable[[SampleBoard, SampleClock], object]
    op: str
    args: dict[str, Any]
    before: str
    """Digest of the active release before the operation; empty for none."""
    after: str
    """Digest of the active release after it."""


def _empty(board: SampleBoard, _: SampleClock) -> None:
    board.root.mkdir()


def _with_old(board: SampleBoard, _: SampleClock) -> None:
    board.enrol()
    board.release(OLDEST, 1)
    board.release(OLD, 2)


def _with_files(board: SampleBoard, clock: SampleClock) -> None:
    _with_old(board, clock)
    for content in NEW.blobs.values():
        board.put(content)


def _with_new(board: SampleBoard, clock: SampleClock) -> None:
    _with_old(board, clock)
    board.stage(NEW)


def _on_trial(board: SampleBoard, clock: SampleClock) -> None:
    _with_new(board, clock)
    board.activate(NEW, 3)


def _after_reboot(board: SampleBoard, clock: SampleClock) -> None:
    _on_trial(board, clock)
    clock.reboot()


def _first(board: SampleBoard, _: SampleClock) -> None:
    board.enrol()
    board.stage(OLDEST)


def _first_on_trial(board: SampleBoard, clock: SampleClock) -> None:
    _first(board, clock)
    board.activate(OLDEST, 1)


def _with_rest(board: SampleBoard, clock: SampleClock) -> None:
    _with_new(board, clock)
    board.activate(NEW, 3)
    board.ask("confirm", NEW.confirm_request(3))


TWO_KEYS = trust_request("ann", "bob", version=2, threshold=2, signed_by=("ann", "bob"))
FIRST = OLDEST.digest
SCENARIOS = [
    Scenario(
        "first trust", lambda board, _: board.root.mkdir(), "trust", trust_request("ann"), "", ""
    ),
    Scenario("rotated trust", _with_old, "trust", TWO_KEYS, OLD.digest, OLD.digest),
    Scenario("stage", _with_files, "stage", NEW.stage_request(2), OLD.digest, OLD.digest),
    Scenario("activate", _with_new, "activate", NEW.activate_request(3), OLD.digest, NEW.digest),
    Scenario("first activation", _first, "activate", OLDEST.activate_request(1), "", FIRST),
    Scenario(
        "take over", _on_trial, "activate", NEW.activate_request(3, 2), NEW.digest, NEW.digest
    ),
    Scenario("confirm", _on_trial, "confirm", NEW.confirm_request(3), NEW.digest, NEW.digest),
    Scenario("revert", _on_trial, "revert", NEW.revert_request(), NEW.digest, OLD.digest),
    Scenario("first revert", _first_on_trial, "revert", OLDEST.revert_request(), OLDEST.digest, ""),
    Scenario("reboot", _after_reboot, "releases", {}, NEW.digest, OLD.digest),
    Scenario(
        "collect",
        _with_rest,
        "collect",
        {"epoch": 1, "pinned": [], "grace_s": 0},
        NEW.digest,
        NEW.digest,
    ),
]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SampleClock:
    clock = SampleClock()
    clock.install(monkeypatch)
    return clock


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A signature is checked once; a disk that is written out need not be synced."""
    check = functools.cache(signatures.require_signatures)

    def require(text: bytes, given: list[str], space: str, signers: list[str], count: int) -> None:
        check(text, tuple(given), space, tuple(signers), count)

    verifier = signatures.find_verifier()
    monkeypatch.setattr(board_state, "find_verifier", lambda: verifier)
    monkeypatch.setattr(board_state, "find_recovery", lambda _: "")
    for module in (activation, staging, trust_roots):
        monkeypatch.setattr(module, "require_signatures", require)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    yield


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_crash_at_every_call_leaves_old_or_new(
    scenario: Scenario, tmp_path: Path, clock: SampleClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    board = SampleBoard(tmp_path / "board")
    scenario.prepare(board, clock)
    disk, floors, events = SampleDisk(board.root), floors_of(board.root), events_of(board.root)
    moment = (clock.boot_id, clock.since_boot_s)
    with record_calls(board.root, monkeypatch) as calls:
        board.ask(scenario.op, scenario.args)
    whole = events_of(board.root)
    assert whole[: len(events)] == events

    states = set()
    for count in range(len(calls) + 1):
        state = disk.after(calls[:count])
        for loss in LOSSES:
            tree = state.tree(loss)
            is_new = (tree, loss == "nothing") not in states
            states.add((tree, loss == "nothing"))
            if not is_new and count < len(calls):
                continue  # another crash left just this
            root = tmp_path / f"{count}-{loss}"
            write_tree(tree, root)
            clock.boot_id, clock.since_boot_s = moment
            last = calls[count - 1] if count else "none"
            where = f"after call {count} of {len(calls)} ({last}), lost: {loss}"
            is_done = count == len(calls)
            check_crash(scenario, SampleBoard(root), clock, (floors, whole, loss, is_done), where)
    assert len(states) > len(calls)


def check_crash(
    scenario: Scenario,
    board: SampleBoard,
    clock: SampleClock,
    known: tuple[dict[str, int], list[Any], str, bool],
    where: str,
) -> None:
    floors, whole, loss, is_done = known
    assert active_release(board.root) in (scenario.before, scenario.after), where
    log = events_of(board.root)
    assert log == whole[: len(log)], where

    if loss != "nothing":
        clock.reboot()
    board.ask("releases")
    current = active_release(board.root)
    possible = {scenario.before, scenario.after}
    if scenario.op in ("activate", "confirm"):
        possible.add(OLD.digest if scenario.name != "first activation" else "")
    assert current in possible, where
    assert no_lower(floors, floors_of(board.root)), where
    if is_done and scenario.op == "confirm":
        assert current == NEW.digest, where  # what was answered stays
    if is_done and scenario.op == "trust":
        assert board.ask("releases")["root_version"] == parse_version(scenario.args), where

    repeat(scenario, board, where)
    assert active_release(board.root) in possible, where
    assert no_lower(floors, floors_of(board.root)), where
    activations = [e for e in events_of(board.root) if e[0] == "activate"]
    assert len(set(activations)) == len(activations), where
    go_on(scenario, board, where)


def repeat(scenario: Scenario, board: SampleBoard, where: str) -> None:
    """The interrupted operation succeeds, or the board has decided meanwhile."""
    try:
        board.ask(scenario.op, scenario.args)
    except RefusalError as refusal:
        # After a reboot the trial was reverted, and the board says so.
        assert scenario.op == "confirm", f"{where}: {refusal}"
        assert "restarted" in str(refusal), where


def go_on(scenario: Scenario, board: SampleBoard, where: str) -> None:
    """Another release can be brought there."""
    if scenario.op == "trust":
        return
    last = SampleRelease(4, security_floor=2)
    state = board.ask("releases")["apps"].get(APP, {"trial": None})
    if state["trial"] is not None:
        board.ask("revert", {"app": APP, "release": state["current"], "reason": "", "epoch": 9})
    board.stage(last, epoch=9)
    board.activate(last, 4, epoch=9)
    board.ask("confirm", last.confirm_request(4, epoch=9))
    assert active_release(board.root) == last.digest, where
    assert not list((board.root / "store").glob("work-*")), where


def active_release(root: Path) -> str:
    """The release to which `current` leads; fails where it is not whole."""
    link = root / "store" / "apps" / APP / "current"
    if not link.is_symlink():
        assert not link.exists()
        return ""
    assert str(link.readlink().parent) == "../../rel"
    digest = link.readlink().name
    text = (link / "manifest.json").read_bytes()
    assert hashlib.sha256(text).hexdigest() == digest
    variant = parse_manifest(text).variant((link / "variant").read_text().strip())
    for path, sha256 in variant.files.items():
        assert hashlib.sha256((link / path).read_bytes()).hexdigest() == sha256
    assert list((link / "signatures").iterdir())
    return digest


def floors_of(root: Path) -> dict[str, int]:
    store = ReleaseStore(Store(str(root)))
    app, newest = store.floors().app(APP), store.roots.newest()
    names = ("order_counter", "release_counter", "security_floor")
    floors = {name: int(getattr(app, name)) for name in names}
    version = newest.version if newest is not None else 0
    return {**floors, "epoch": store.floors().epoch, "root_version": version}


def no_lower(before: dict[str, int], after: dict[str, int]) -> bool:
    return all(after[name] >= before[name] for name in before)


def events_of(root: Path) -> list[Any]:
    entries = ReleaseLog(str(root / "store" / "log")).entries()
    return [(e["event"], e.get("order"), e.get("epoch"), e.get("release")) for e in entries]


def parse_version(args: dict[str, Any]) -> int:
    return 2 if '"version":2' in args["root"] else 1
