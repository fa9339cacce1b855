"""A disk that refuses a call, at every call of a board's release operations."""

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from device_agent.contract.codes import NO_SPACE, READ_ONLY, STORAGE, RefusalError
from tests.device_agent.releases.session import SampleBoard, SampleClock
from tests.device_agent.releases.signed import APP
from tests.faults.recorded_disk import CHANGING
from tests.faults.release_scenarios import (
    OLD,
    SCENARIOS,
    Scenario,
    active_release,
    events_of,
    floors_of,
    no_lower,
)

#: Calls that a full disk still does.
FREEING = ("unlink", "rmdir", "fsync", "chmod", "fchmod", "ftruncate")

CODES = {errno.ENOSPC: NO_SPACE, errno.EROFS: READ_ONLY, errno.EIO: STORAGE}
MOST_CALLS = 200


class DiskFault:
    """Refuses calls below a folder, from a certain one on."""

    def __init__(self, number: int, error: int) -> None:
        self.left = number
        self.error = error
        self.count = 0

    def step(self, name: str) -> None:
        if self.error == errno.ENOSPC and name in FREEING:
            return
        self.left -= 1
        is_once = self.error == errno.EIO
        if self.left == 0 or (self.left < 0 and not is_once):
            self.count += 1
            raise OSError(self.error, os.strerror(self.error))


@contextmanager
def faulty(folder: Path, fault: DiskFault, patch: pytest.MonkeyPatch) -> Iterator[None]:
    def wrap(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def step(path: Any, *rest: Any, **named: Any) -> Any:
            is_new = name != "open" or (rest and rest[0] & os.O_CREAT)
            place = rest[0] if name == "symlink" else path
            if isinstance(place, int):
                place = Path(f"/proc/self/fd/{place}").readlink()
            is_below = named.get("dir_fd") is not None or Path(place).is_relative_to(folder)
            if is_new and is_below:
                fault.step(name)
            return act(path, *rest, **named)

        return step

    with patch.context() as own:
        for name in CHANGING:
            own.setattr(os, name, wrap(name, getattr(os, name)))
        yield


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("error", CODES, ids=lambda error: errno.errorcode[error])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_refused_call_leaves_old_or_new(
    scenario: Scenario,
    error: int,
    tmp_path: Path,
    clock: SampleClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moment = (clock.boot_id, clock.since_boot_s)
    for number in range(1, MOST_CALLS):
        clock.boot_id, clock.since_boot_s = moment
        board = SampleBoard(tmp_path / str(number))
        scenario.prepare(board, clock)
        floors, events = floors_of(board.root), events_of(board.root)
        fault, code = DiskFault(number, error), ""
        with faulty(board.root, fault, monkeypatch):
            try:
                board.ask(scenario.op, scenario.args)
            except RefusalError as refusal:
                code = refusal.code
        where = f"{errno.errorcode[error]} at call {number}"
        assert code in ("", CODES[error]), where
        assert active_release(board.root) in (scenario.before, scenario.after, OLD.digest), where
        assert events_of(board.root)[: len(events)] == events, where

        board.ask("releases")
        retry(scenario, board)
        assert active_release(board.root) in (scenario.before, scenario.after, OLD.digest), where
        assert no_lower(floors, floors_of(board.root)), where
        activations = [entry for entry in events_of(board.root) if entry[0] == "activate"]
        assert len(set(activations)) == len(activations), where
        if fault.count == 0:
            break
    else:
        pytest.fail("the operation never ends")
    assert number > 3


def retry(scenario: Scenario, board: SampleBoard) -> None:
    """Does the operation on a disk that works again; it is idempotent."""
    board.ask(scenario.op, scenario.args)
    apps = board.ask("releases")["apps"]
    if scenario.op == "revert":
        assert apps[APP]["current"] == scenario.after
    if scenario.op == "confirm":
        assert apps[APP]["trial"] is None
