"""Release operations of a board, and what holds at every moment of each."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from device_agent.contract.manifest import parse_manifest
from device_agent.releases.release_store import ReleaseStore
from device_agent.store.release_log import ReleaseLog
from device_agent.store.store import Store
from tests.device_agent.releases.session import SampleBoard, SampleClock
from tests.device_agent.releases.signed import APP, SampleRelease, trust_request

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
