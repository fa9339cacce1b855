"""The releases of one root folder: what is on the disk, and who may change it now."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import Dict, Iterator, List, Set

from device_agent.contract.codes import BUSY, STALE_EPOCH, RefusalError
from device_agent.contract.manifest import Manifest
from device_agent.os_errors import named_os_errors
from device_agent.releases.app_folder import AppFolder, app_names
from device_agent.releases.floors import FloorFile, Floors
from device_agent.releases.release_folder import ReleaseFolders
from device_agent.releases.trust_roots import TrustRoots
from device_agent.store.checked_file import DamagedFileError
from device_agent.store.durable import open_file, write_all
from device_agent.store.release_log import ReleaseLog
from device_agent.store.store import Store

#: Longest wait for another process that changes the releases: an activation with its command.
LOCK_TIMEOUT_S = 90.0

#: Space that is kept for going back: some records and links, in blocks of a large file system.
SPARE_BYTES = 128 << 10

_POLL_S = 0.02


class ReleaseStore:
    """The parts of a root folder that belong to releases."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.folders = store.folders
        self.blobs = store.blobs
        self.releases = ReleaseFolders(store.folders, store.blobs)
        self.journal = ReleaseLog(store.folders.log)
        self.roots = TrustRoots(store.folders.roots, self.journal)
        self._spare = os.path.join(store.folders.store, "spare")
        path = os.path.join(store.folders.store, "floor.json")
        self._floors = FloorFile(path, self.journal, self._running)

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever staged or enrolled."""
        return not os.path.isdir(self.folders.log)

    def app(self, name: str) -> AppFolder:
        """Return the folder of an application.

        Raises:
            RefusalError: The name has another form.
        """
        return AppFolder(self.folders.apps, name)

    def app_names(self) -> List[str]:
        """Return the names of the applications."""
        return app_names(self.folders.apps)

    def used_releases(self) -> Set[str]:
        """Return the digests of the releases that an application has, had before or tries."""
        digests = set()
        for name in self.app_names():
            app = self.app(name)
            digests |= {app.current(), app.previous()}
            with contextlib.suppress(DamagedFileError):
                trial = app.trial()
                if trial is not None:
                    digests |= {trial.release, trial.previous, trial.older}
        return digests - {""}

    def floors(self) -> Floors:
        """Read what was accepted so far."""
        return self._floors.read()

    def write_floors(self, floors: Floors) -> None:
        """Write what is accepted from now on.

        Raises:
            OSError: It cannot be written; the old floors stay.
        """
        self._floors.write(floors)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from changing the releases meanwhile.

        Raises:
            RefusalError: Another process changes them for too long, or the disk refuses writing.
        """
        with named_os_errors():
            self.store.require_safe()
            self.folders.make_for_releases()
            path = os.path.join(self.folders.store, "release-lock")
            lock = open_file(path, os.O_RDWR | os.O_CREAT)
            try:
                _await_lock(lock)
                yield
            finally:
                os.close(lock)

    def reserve_space(self) -> None:
        """Keep some space of the disk, so that a full disk never forbids the way back.

        Raises:
            RefusalError: The disk is full already.
        """
        with named_os_errors():
            handle = open_file(self._spare, os.O_WRONLY | os.O_CREAT)
            try:
                if os.fstat(handle).st_size < SPARE_BYTES:
                    write_all(handle, b"\1" * SPARE_BYTES)
                    os.fsync(handle)
            finally:
                os.close(handle)

    def release_space(self) -> bool:
        """Give the reserved space back; return whether there was any."""
        try:
            os.unlink(self._spare)
        except OSError:
            return False
        return True

    def fence(self, epoch: int) -> None:
        """Refuse a controller that another one has replaced; remember the newest one.

        Args:
            epoch: Epoch of the controller that asks.

        Raises:
            RefusalError: The board knows a higher epoch.
            OSError: The epoch cannot be written.
        """
        floors = self.floors()
        if epoch < floors.epoch:
            message = "another controller has epoch {}, this one has {}"
            hint = "Look at `kedge fleet status`: another computer leads this fleet now."
            raise RefusalError(STALE_EPOCH, message.format(floors.epoch, epoch), hint)
        if epoch > floors.epoch:
            self.journal.append("epoch", {"epoch": epoch})
            self.write_floors(floors._replace(epoch=epoch))

    def _running(self) -> Dict[str, Manifest]:
        """Return the manifests of the releases that are active and on no trial, by application."""
        manifests = {}
        for name in self.app_names():
            app = self.app(name)
            with contextlib.suppress(RefusalError):
                if app.current() and not app.has_trial():
                    manifests[name] = self.releases.read(app.current()).manifest
        return manifests


def _await_lock(lock: int) -> None:
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= deadline:
                message = "another process has been changing the releases for {:.0f} s"
                raise RefusalError(
                    BUSY, message.format(LOCK_TIMEOUT_S), "Wait until it is done, then try again."
                ) from error
        time.sleep(_POLL_S)
