"""Removes releases and files that nothing uses any more, in two phases.

The first call notes what is unused. A later call removes what is still unused a while after it was
noted, so that a program that has just read `current` can open what it leads to. A file that a
process of this user has open or mapped stays.
"""

from __future__ import annotations

import contextlib
import glob
import os
from typing import Dict, Iterable, List, NamedTuple, Set

from device_agent.board import boot
from device_agent.contract.codes import RefusalError
from device_agent.releases.release_store import ReleaseStore
from device_agent.store.checked_file import DamagedFileError, read_checked, write_checked

#: Shortest time between noting and removing, in seconds; starting an application takes less.
GRACE_S = 60.0


class Collection(NamedTuple):
    """Result of a collection."""

    removed: int
    """Number of releases and files that were removed."""
    freed_bytes: int
    """Size of the files that were removed."""
    candidates: int
    """Number of releases and files that a later collection will remove."""


class _Garbage(NamedTuple):
    """Releases and files that nothing uses."""

    names: Set[str]
    """Digests of all of them."""
    releases: List[str]
    """Digests of the releases that may be removed now."""
    blobs: List[str]
    """Digests of the files that may be removed now."""


def collect_garbage(store: ReleaseStore, pins: Iterable[str], grace_s: float) -> Collection:
    """Remove what was noted and is still unused; note what is unused now.

    Args:
        store: Releases of the board, locked and settled.
        pins: Digests of manifests of releases that stay in any case.
        grace_s: Seconds for which something must have been unused.

    Raises:
        OSError: The disk refuses writing; some files may be removed.
    """
    notes = _read(_path(store))
    garbage = _find_garbage(store, pins, grace_s, notes)
    for name in garbage.releases:
        store.releases.remove(name)
    freed_bytes = sum(store.blobs.remove(name) for name in garbage.blobs)
    note = {"boot": boot.boot_id(), "at": boot.since_boot_s()}
    rest = garbage.names - {*garbage.releases, *garbage.blobs}
    new_notes = {name: notes.get(name, note) for name in sorted(rest)}
    if new_notes != notes:
        write_checked(_path(store), {"unused": new_notes})
    return Collection(len(garbage.releases) + len(garbage.blobs), freed_bytes, len(new_notes))


def removable_bytes(store: ReleaseStore) -> int:
    """Return the size of the files that a collection would remove now; nothing is changed."""
    blobs = _find_garbage(store, (), GRACE_S, _read(_path(store))).blobs
    return sum(store.blobs.size(name) for name in blobs)


def _find_garbage(
    store: ReleaseStore,
    pins: Iterable[str],
    grace_s: float,
    notes: Dict[str, Dict[str, object]],
) -> _Garbage:
    names, roots = set(store.releases.names()), store.used_releases() | set(pins)
    if names <= roots and set(store.blobs.names()) <= _blobs_of(store, names):
        return _Garbage(set(), [], [])  # nobody needs to know what processes have open
    open_names = open_digests(store.folders.store)
    releases = [name for name in sorted(names) if name not in roots | open_names]
    live_blobs = _blobs_of(store, names - set(releases)) | open_names
    blobs = [name for name in store.blobs.names() if name not in live_blobs]
    now, this_boot = boot.since_boot_s(), boot.boot_id()
    due = {
        name
        for name, note in notes.items()
        if note.get("boot") != this_boot or now - float(str(note.get("at", now))) >= grace_s
    }
    if grace_s <= 0:
        due |= {*releases, *blobs}
    due_releases = [name for name in releases if name in due]
    linked = _blobs_of(store, names - set(due_releases))
    due_blobs = [name for name in blobs if name in due and name not in linked]
    return _Garbage({*releases, *blobs}, due_releases, due_blobs)


def open_digests(folder: str, processes: str = "/proc") -> Set[str]:
    """Return the names of files and folders of releases that processes of this user hold.

    Args:
        folder: Folder `store`.
        processes: Folder of the processes.
    """
    names: Set[str] = set()
    prefix = os.path.realpath(folder) + "/"
    for path in _paths_in_use(processes):
        if path.startswith(prefix):
            names.update(part for part in path[len(prefix) :].split("/") if len(part) == 64)
    return names


def _paths_in_use(processes: str) -> Iterable[str]:
    for process in glob.glob(os.path.join(processes, "[0-9]*")):
        for link in [*glob.glob(process + "/fd/*"), process + "/cwd"]:
            with contextlib.suppress(OSError):
                yield os.readlink(link)
        with contextlib.suppress(OSError), open(process + "/maps", errors="replace") as file:
            for line in file:
                yield "/" + line.rstrip("\n").partition("/")[2]


def _blobs_of(store: ReleaseStore, releases: Iterable[str]) -> Set[str]:
    """Return the digests of the files to which the folders of releases lead, whole or not."""
    digests: Set[str] = set()
    for digest in releases:
        for place, folders, files in os.walk(store.releases.path(digest)):
            for name in [*folders, *files]:
                with contextlib.suppress(OSError):
                    digests.add(os.path.basename(os.readlink(os.path.join(place, name))))
    return digests


def _path(store: ReleaseStore) -> str:
    return os.path.join(store.folders.store, "unused.json")


def _read(path: str) -> Dict[str, Dict[str, object]]:
    try:
        plain = read_checked(path) or {}
    except (DamagedFileError, RefusalError):
        plain = {}
    notes = plain.get("unused")
    if not isinstance(notes, dict):
        return {}
    return {name: note for name, note in notes.items() if isinstance(note, dict)}
