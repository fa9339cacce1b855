"""The folder of one application: the links that say what is active, and the trial.

Layout of `store/apps/<app>/`:
    current      link to `../../rel/<digest>`: the only path that a consumer opens
    previous     link to the release before
    trial.json   the release that is active and not yet confirmed; absent without one
    watcher      held by the process that reverts the trial at its deadline
"""

from __future__ import annotations

import os
import re
from typing import Any, Dict, List, NamedTuple, Optional

from device_agent.board import boot
from device_agent.contract.codes import BAD_REQUEST, UNSAFE_ROOT, RefusalError
from device_agent.contract.names import require_app
from device_agent.contract.records import RecordError, read_record
from device_agent.store.checked_file import (
    DamagedFileError,
    read_checked,
    set_aside,
    write_checked,
)
from device_agent.store.durable import link_durably, make_folder, unlink_durably

_LINK = re.compile(r"\.\./\.\./rel/([0-9a-f]{64})\Z")


class ReleaseTrial(NamedTuple):
    """A release that is active until a deadline, unless it is confirmed."""

    release: str
    """Digest of the manifest of the release on trial."""
    previous: str
    """Digest of the release to which the board reverts; empty for none."""
    older: str
    """Digest of the release before `previous`; empty for none."""
    order: str
    """Digest of the order."""
    order_counter: int
    fleet: str
    """Name of the fleet of the order."""
    epoch: int
    """Epoch of the controller that activated it."""
    boot_id: str
    """Kernel's id of the boot in which it was activated."""
    began_s: float
    """Seconds since the boot of its activation."""
    deadline_s: float
    """Seconds since the boot at which the board reverts by itself."""
    newest_s: float
    """Newest time that the order or the manifest was signed at, in seconds since 1970."""
    hooks: bool
    """Whether the commands of the application may be run."""
    reloads: int = 0
    """Number of reloads of the application that were begun for the release on trial."""
    is_reloaded: bool = False
    """Whether the application has loaded the release on trial, as far as its command says."""
    reloads_back: int = 0
    """Number of reloads of the application that were begun for the release before."""

    @property
    def remaining_s(self) -> float:
        """Number of seconds until the board reverts; 0 after the deadline or in another boot."""
        now = boot.since_boot_s()
        if self.boot_id != boot.boot_id() or now < self.began_s:
            return 0.0
        return max(0.0, self.deadline_s - now)

    @property
    def is_over(self) -> bool:
        """Whether the board has to revert, as the deadline has passed or the board restarted."""
        return self.remaining_s <= 0


class AppFolder:
    """The links and the trial of one application."""

    def __init__(self, apps: str, app: str) -> None:
        """Name the folder.

        Args:
            apps: Folder of all applications.
            app: Name of the application.

        Raises:
            RefusalError: The name has another form.
        """
        try:
            self.path = os.path.join(apps, require_app(app))
        except RecordError as error:
            raise RefusalError(BAD_REQUEST, str(error)) from error
        self._trial = os.path.join(self.path, "trial.json")

    def make(self) -> None:
        """Make the folder.

        Raises:
            RefusalError: Something that kedge did not make lies in its place.
            OSError: It cannot be made.
        """
        self.require_own()
        make_folder(self.path)

    def require_own(self) -> None:
        """Refuse a link or a file in the place of the folder.

        Raises:
            RefusalError: Something that kedge did not make lies there.
        """
        if os.path.islink(self.path) or (os.path.lexists(self.path) and not _is_own(self.path)):
            raise _foreign(self.path, "a folder of this user")

    def current(self) -> str:
        """Return the digest of the active release; empty for none.

        Raises:
            RefusalError: The link is not one that kedge made.
        """
        return self._digest("current")

    def previous(self) -> str:
        """Return the digest of the release before; empty for none.

        Raises:
            RefusalError: The link is not one that kedge made.
        """
        return self._digest("previous")

    def switch(self, digest: str) -> None:
        """Let `current` lead to a release; without a digest there is no `current` afterwards.

        Raises:
            OSError: It cannot be written; `current` is what it was.
        """
        self._link("current", digest)

    def remember(self, digest: str) -> None:
        """Let `previous` lead to a release; without a digest there is no `previous` afterwards.

        Raises:
            OSError: It cannot be written; `previous` is what it was.
        """
        self._link("previous", digest)

    def trial(self) -> Optional[ReleaseTrial]:
        """Read the trial; `None` without one.

        Raises:
            DamagedFileError: The file is damaged.
        """
        plain = read_checked(self._trial)
        if plain is None:
            return None
        try:
            trial: ReleaseTrial = read_record(ReleaseTrial, plain)
        except RecordError as error:
            raise DamagedFileError(self._trial) from error
        return trial

    def has_trial(self) -> bool:
        """Whether there is a trial, damaged or not."""
        return os.path.lexists(self._trial)

    def write_trial(self, trial: ReleaseTrial) -> None:
        """Write the trial; it is on the disk afterwards.

        Raises:
            OSError: It cannot be written.
        """
        plain: Dict[str, Any] = dict(trial._asdict())
        write_checked(self._trial, plain)

    def end_trial(self) -> None:
        """Remove the trial."""
        unlink_durably(self._trial)

    def set_trial_aside(self) -> None:
        """Keep a damaged trial under another name."""
        set_aside(self._trial)

    def _digest(self, name: str) -> str:
        path = os.path.join(self.path, name)
        self.require_own()
        if not os.path.lexists(path):
            return ""
        match = _LINK.match(os.readlink(path)) if os.path.islink(path) else None
        if match is None:
            raise _foreign(path, "a link to a release")
        return match.group(1)

    def _link(self, name: str, digest: str) -> None:
        path = os.path.join(self.path, name)
        if digest:
            link_durably("../../rel/" + digest, path)
        else:
            unlink_durably(path)


def app_names(apps: str) -> List[str]:
    """Return the applications of a store; whatever has another name is passed over.

    Args:
        apps: Folder of all applications.
    """
    names = []
    try:
        entries = sorted(os.listdir(apps))
    except FileNotFoundError:
        return []
    for name in entries:
        try:
            names.append(require_app(name))
        except RecordError:
            continue
    return names


def _is_own(path: str) -> bool:
    return os.path.isdir(path) and os.lstat(path).st_uid in (0, os.geteuid())


def _foreign(path: str, expected: str) -> RefusalError:
    message = "{} is not {}".format(path, expected)
    return RefusalError(UNSAFE_ROOT, message, "Remove it on the board, then try again.")
