"""Crashes at every change of the disk while a board works on its releases.

Each call that changes the disk is recorded. For every prefix of these calls, and for every way in
which a crash may lose what was not synced, the disk is written out and the agent starts on it.
"""

from pathlib import Path
from typing import Any

import pytest

from device_agent.contract.codes import RefusalError
from device_agent.releases.release_store import ReleaseStore
from device_agent.store.checked_file import DamagedFileError, read_checked
from device_agent.store.store import Store
from tests.device_agent.releases.session import SampleBoard, SampleClock
from tests.device_agent.releases.signed import APP, SampleRelease
from tests.faults.recorded_disk import LOSSES, SampleDisk, record_calls, write_tree
from tests.faults.release_scenarios import (
    NEW,
    OLD,
    SCENARIOS,
    Scenario,
    active_release,
    events_of,
    floors_of,
    no_lower,
)


@pytest.mark.usefixtures("quick")
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
    check_records(board.root, where)

    if loss != "nothing":
        clock.reboot()
    board.ask("releases")
    current = active_release(board.root)
    possible = {scenario.before, scenario.after}
    if scenario.op in ("activate", "confirm"):
        possible.add(OLD.digest if scenario.name != "first activation" else "")
    assert current in possible, where
    assert no_lower(floors, floors_of(board.root)), where
    check_confirmation(board.root, where)
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


def check_records(root: Path, where: str) -> None:
    """Each small record is old or new, and never damaged: recovery need not guess."""
    for name in ("trial.json", "floor.json"):
        for path in (root / "store").rglob(name):
            try:
                read_checked(str(path))
            except DamagedFileError:
                pytest.fail(f"{name} is damaged {where}")


def check_confirmation(root: Path, where: str) -> None:
    """A confirmation that counts is in the log, and its release is the active one."""
    floor = ReleaseStore(Store(str(root))).floors().app(APP)
    confirmed = [order for event, order, _, _ in events_of(root) if event == "confirm"]
    assert not floor.confirmed_order or floor.confirmed_order in confirmed, where
    if floor.release_counter == NEW.manifest.counter:
        assert active_release(root) == NEW.digest, where


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


def parse_version(args: dict[str, Any]) -> int:
    return 2 if '"version":2' in args["root"] else 1
