"""What the board says of its releases."""

from __future__ import annotations

import contextlib
import os
from typing import Optional

from device_agent.board import boot
from device_agent.board.reboot_recovery import find_recovery
from device_agent.contract.codes import RefusalError
from device_agent.contract.release_state import AppState, BoardReleases, TrialState
from device_agent.releases.app_folder import ReleaseTrial
from device_agent.releases.floors import Floors
from device_agent.releases.release_store import ReleaseStore
from device_agent.signatures import find_verifier
from device_agent.store.checked_file import DamagedFileError


def read_releases(store: ReleaseStore) -> BoardReleases:
    """Read the state of all applications; nothing is changed.

    Raises:
        RefusalError: A link is not one that kedge made, or the trust root is damaged.
    """
    floors, root, verifier = store.floors(), store.roots.newest(), find_verifier()
    facts = os.statvfs(_nearest(store.folders.store))
    return BoardReleases(
        apps={name: read_app(store, floors, name) for name in store.app_names()},
        fleet=root.fleet if root is not None else "",
        root_version=root.version if root is not None else 0,
        epoch=floors.epoch,
        verifier=verifier.version,
        verifier_absence=verifier.absence,
        reboot_recovery=find_recovery(store.folders.root),
        free_bytes=facts.f_bavail * facts.f_frsize,
        boot_id=boot.boot_id(),
    )


def read_app(store: ReleaseStore, floors: Floors, name: str) -> AppState:
    """Read the state of one application.

    Raises:
        RefusalError: A link is not one that kedge made.
    """
    app, floor = store.app(name), floors.app(name)
    current, trial = app.current(), None
    with contextlib.suppress(DamagedFileError):
        trial = _state(app.trial(), current)
    version = variant = ""
    with contextlib.suppress(RefusalError):
        release = store.releases.read(current) if current else None
        if release is not None:
            version, variant = release.manifest.version, release.variant
    return AppState(
        current=current,
        previous=app.previous(),
        version=version,
        variant=variant,
        since=floor.since,
        order=floor.confirmed_order,
        order_counter=floor.order_counter,
        release_counter=floor.release_counter,
        security_floor=floor.security_floor,
        last_event=floor.last_event,
        last_reason=floor.last_reason,
        trial=trial,
    )


def _state(trial: Optional[ReleaseTrial], current: str) -> Optional[TrialState]:
    if trial is None:
        return None
    return TrialState(
        previous=trial.previous,
        release=trial.release,
        order=trial.order,
        epoch=trial.epoch,
        remaining_s=round(trial.remaining_s, 3),
        activated=current == trial.release,
    )


def _nearest(path: str) -> str:
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path
