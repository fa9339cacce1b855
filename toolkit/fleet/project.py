"""What the fleet commands of one project share: targets, journal, releases, deltas, connections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from targets.inventory import Inventory, Target
from targets.known_boards import KnownBoards
from toolkit.bundle.delta_cache import DeltaCache
from toolkit.fleet.connections import BoardConnections
from toolkit.fleet.journal import NAME, Journal, open_journal
from toolkit.fleet.release_archive import FOLDER as RELEASES_FOLDER
from toolkit.fleet.release_archive import ReleaseArchive
from toolkit.project import open_inventory, project_folder

_BOARDS_NAME = "boards.json"
_DELTAS_FOLDER = "deltas"


@dataclass(frozen=True)
class FleetProject:
    """A project with a fleet."""

    inventory: Inventory

    @property
    def folder(self) -> Path:
        """Folder of the project's own files, beside kedge.toml."""
        return project_folder(self.inventory.path.parent)

    @cached_property
    def targets(self) -> Mapping[str, Target]:
        """Targets by name."""
        return self.inventory.targets

    @property
    def journal_path(self) -> Path:
        """File of the journal."""
        return self.folder / NAME

    @cached_property
    def releases(self) -> ReleaseArchive:
        """Releases that were rolled out."""
        return ReleaseArchive(project_folder(self.inventory.path.parent, RELEASES_FOLDER))

    @cached_property
    def deltas(self) -> DeltaCache:
        """Deltas that were built."""
        return DeltaCache(project_folder(self.inventory.path.parent, _DELTAS_FOLDER))

    @contextmanager
    def connections(self) -> Iterator[BoardConnections]:
        """Open connections to boards while the block runs."""
        connections = BoardConnections(self.targets, KnownBoards(self.folder / _BOARDS_NAME))
        try:
            yield connections
        finally:
            connections.close()

    @contextmanager
    def journal(self) -> Iterator[Journal]:
        """Open the journal while the block runs.

        Raises:
            JournalError: It cannot be opened.
        """
        with open_journal(self.journal_path) as journal:
            yield journal


def open_fleet(start: Path | None = None) -> FleetProject:
    """Find the project of a folder.

    Raises:
        ToolkitError: There is none.
    """
    return FleetProject(open_inventory(start))
