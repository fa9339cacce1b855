"""What a board has accepted so far, so that nothing older is accepted again.

`floor.json` is one record, exchanged as a whole. Where it is damaged, it is made again from the log
and from the manifests of the running releases.
"""

from __future__ import annotations

from typing import Any, Callable, Dict, List, NamedTuple

from device_agent.contract.manifest import Manifest
from device_agent.contract.records import RecordError, read_record
from device_agent.contract.release_state import ACTIVATE, CONFIRM, REVERT
from device_agent.store.checked_file import (
    DamagedFileError,
    read_checked,
    set_aside,
    write_checked,
)
from device_agent.store.release_log import Entry, ReleaseLog


class AppFloor(NamedTuple):
    """Orders and releases that were accepted for one application."""

    fleet: str = ""
    """Name of the fleet of the last order; another fleet counts its orders anew."""
    order: str = ""
    """Digest of the last order that was activated."""
    order_counter: int = 0
    """Highest counter of an order that was activated."""
    order_epoch: int = 0
    """Epoch in which the last order was activated."""
    confirmed_order: str = ""
    """Digest of the last order that was confirmed."""
    release_counter: int = 0
    """Highest counter of a release that was confirmed."""
    security_floor: int = 0
    """Lowest counter of a release that is accepted."""
    since: float = 0.0
    """Seconds since 1970 of the last switch of `current`."""
    last_event: str = ""
    """Last event: `activate`, `confirm` or `revert`."""
    last_reason: str = ""
    """Reason of the last revert; empty where the last event is another one."""
    hooks: bool = False
    """Whether the last activation allowed the commands of the application."""


class Floors(NamedTuple):
    """Orders and releases that were accepted on the whole board."""

    epoch: int = 0
    """Highest epoch of a controller."""
    newest_s: float = 0.0
    """Newest time that a trusted record was signed at, in seconds since 1970."""
    checked_boot: str = ""
    """Boot in which the active releases were last hashed."""
    apps: Dict[str, AppFloor] = {}  # noqa: RUF012 - nobody changes it

    def app(self, name: str) -> AppFloor:
        """Return what was accepted for an application."""
        return self.apps.get(name, AppFloor())

    def with_app(self, name: str, floor: AppFloor) -> Floors:
        """Return these floors with another one for an application."""
        return self._replace(apps=dict(self.apps, **{name: floor}))


class FloorFile:
    """The file `floor.json` of a store."""

    def __init__(
        self, path: str, journal: ReleaseLog, running: Callable[[], Dict[str, Manifest]]
    ) -> None:
        """Name the file.

        Args:
            path: File.
            journal: Log, from which a damaged file is made again.
            running: Function that returns the manifests of the confirmed releases by application.
        """
        self._path = path
        self._journal = journal
        self._running = running

    def read(self) -> Floors:
        """Read the floors; made again where the file is damaged or absent."""
        try:
            plain = read_checked(self._path)
            if plain is not None:
                return _from_plain(plain)
        except (DamagedFileError, RecordError):
            pass
        return self._rebuild()

    def write(self, floors: Floors) -> None:
        """Write the floors; a damaged file is kept beside them.

        Raises:
            OSError: They cannot be written; the old ones stay.
        """
        try:
            read_checked(self._path)
        except DamagedFileError:
            set_aside(self._path)
        plain = dict(floors._asdict())
        plain["apps"] = {name: dict(app._asdict()) for name, app in floors.apps.items()}
        write_checked(self._path, plain)

    def _rebuild(self) -> Floors:
        floors = replay(self._journal.entries())
        for name, manifest in self._running().items():
            app = floors.app(name)
            floor = app._replace(
                release_counter=max(app.release_counter, manifest.counter),
                security_floor=max(app.security_floor, manifest.security_floor),
            )
            floors = floors.with_app(name, floor)
        return floors


def replay(entries: List[Entry]) -> Floors:
    """Return the floors that the records of a log lead to."""
    floors = Floors()
    for entry in entries:
        floors = floors._replace(
            epoch=max(floors.epoch, _number(entry, "epoch")),
            newest_s=max(floors.newest_s, float(_number(entry, "newest_s"))),
        )
        name = entry.get("app")
        if isinstance(name, str):
            floors = floors.with_app(name, _after(floors.app(name), entry))
    return floors


def _after(app: AppFloor, entry: Entry) -> AppFloor:
    event, order = entry["event"], str(entry.get("order", ""))
    at = float(_number(entry, "at"))
    if event == ACTIVATE:
        return app._replace(
            fleet=str(entry.get("fleet", "")),
            order=order,
            order_counter=_number(entry, "order_counter"),
            order_epoch=_number(entry, "epoch"),
            since=at,
            last_event=ACTIVATE,
            last_reason="",
            hooks=entry.get("hooks") is True,
        )
    if event == CONFIRM:
        return app._replace(
            confirmed_order=order,
            release_counter=max(app.release_counter, _number(entry, "release_counter")),
            security_floor=max(app.security_floor, _number(entry, "security_floor")),
            last_event=CONFIRM,
            last_reason="",
        )
    if event == REVERT:
        return app._replace(since=at, last_event=REVERT, last_reason=str(entry.get("reason", "")))
    return app


def _number(entry: Entry, name: str) -> int:
    value = entry.get(name, 0)
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0


def _from_plain(plain: Dict[str, Any]) -> Floors:
    floors: Floors = read_record(Floors, plain)
    return floors
