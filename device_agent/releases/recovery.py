"""Brings the releases of a board into order, whatever happened since the last session."""

from __future__ import annotations

import contextlib

from device_agent.board import boot
from device_agent.contract.codes import RefusalError
from device_agent.contract.release_state import REVERT
from device_agent.releases.release_store import ReleaseStore
from device_agent.releases.trials import ReleaseTrials

_DAMAGED = "the active release was damaged on the board"


def recover(store: ReleaseStore, trials: ReleaseTrials) -> None:
    """Complete or revert the trials; look at the active releases once a boot.

    Args:
        store: Releases of the board, locked.
        trials: ReleaseTrials of the same store.

    Raises:
        OSError: The disk refuses writing; call it again.
    """
    for name in store.app_names():
        with contextlib.suppress(RefusalError):  # no way back: a release is damaged, until repaired
            trials.settle(name)
    floors = store.floors()
    if floors.checked_boot == boot.boot_id() or not store.app_names():
        return
    for name in store.app_names():
        with contextlib.suppress(RefusalError):
            _replace_damaged(store, trials, name)
    store.write_floors(store.floors()._replace(checked_boot=boot.boot_id()))


def _replace_damaged(store: ReleaseStore, trials: ReleaseTrials, name: str) -> None:
    """Let a whole release take the place of a damaged one, if the board has one."""
    app = store.app(name)
    current, previous = app.current(), app.previous()
    if not current or app.has_trial() or store.releases.is_whole(current):
        return
    floors = store.floors()
    floor = floors.app(name)
    if not previous or not _is_acceptable(store, previous, floor.security_floor):
        return
    app.switch(previous)
    fields = {"app": name, "release": current, "order": "", "epoch": floors.epoch}
    store.journal.append(REVERT, dict(fields, reason=_DAMAGED))
    floor_after = floor._replace(
        last_event=REVERT, last_reason=_DAMAGED, since=boot.wall_clock_s(), confirmed_order=""
    )
    store.write_floors(floors.with_app(name, floor_after))
    app.remember("")
    trials.reload(
        name, previous, floor.hooks
    )  # last: whatever it does, the release stays exchanged


def _is_acceptable(store: ReleaseStore, digest: str, security_floor: int) -> bool:
    if not store.releases.is_whole(digest):
        return False
    return store.releases.read(digest).manifest.counter >= security_floor
