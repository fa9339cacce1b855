"""Files on the board: atomic, durable, addressed by their SHA-256.

Layout under the root:
    store/scratch/<sha256>     what push and bench use; never what a consumer opens
    store/partial/<sha256>     what has arrived of a file so far
    store/lock                 held by the host that uses the board now
    store/runtimes/<tree>/     unzipped wheels, addressed by the digests of all of them
    store/engines/             engines that TensorRT built here, a bounded number
    store/cas/sha256/<sha256>  files of releases, never changed
    store/rel/<sha256>/        releases: manifest, signatures, links to their files
    store/apps/<app>/current   link to the active release: the only path that a consumer opens
    store/trust, store/log, store/floor.json    signers, events, and what was accepted so far
    store/release-lock         held by the process that changes the releases now
    store/work-<pid>/          what the agent with this process id is making right now
"""

from __future__ import annotations

import os
from typing import ContextManager

from device_agent.store.blobs import Blobs
from device_agent.store.folders import Folders
from device_agent.store.leftovers import remove_left_data
from device_agent.store.receive import Uploads
from device_agent.store.reservation import Reservation
from device_agent.store.scratch import Scratch
from device_agent.store.trees import Trees


class Store:
    """The parts of one root folder."""

    def __init__(self, root: str) -> None:
        self.folders = Folders(root)
        self.reservation = Reservation(os.path.join(self.folders.store, "lock"))
        self.scratch = Scratch(self.folders)
        self.uploads = Uploads(self.folders, self.scratch)
        self.blobs = Blobs(self.folders)
        self.trees = Trees(self.folders, self.scratch, self.reservation)

    def require_safe(self) -> None:
        """Refuse a root folder that others than this user may change.

        Raises:
            RefusalError: Others may change it; says who and what helps.
        """
        self.folders.require_safe()

    def workspace(self) -> ContextManager[str]:
        """Lend a folder for one job, on the file system of the store; it is gone afterwards."""
        return self.folders.workspace()

    def file_path(self, sha256: str) -> str:
        """Return where a file lies: in the scratch area, or among those of the releases.

        Raises:
            RefusalError: The board has no such file, or it is damaged.
        """
        return self.blobs.path(sha256) if self.blobs.has(sha256) else self.scratch.path(sha256)

    def remove_left_data(self) -> None:
        """Remove what killed sessions left of their jobs; only with the reservation."""
        if self.reservation.is_held:
            remove_left_data(self.folders.scratch)
