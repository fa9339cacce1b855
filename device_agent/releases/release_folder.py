"""The folder of one release: its manifest, its signatures, and links to its blobs.

Layout of `store/rel/<digest of the manifest>/`:
    manifest.json        the bytes that were signed
    signatures/<n>.sig   SSH signatures
    variant              name of the variant that this board has
    <path of a file>     link into `store/cas/sha256`, for each file of the variant
"""

from __future__ import annotations

import contextlib
import os
from typing import Dict, List, NamedTuple, Optional

from device_agent.contract.codes import (
    DIGEST_MISMATCH,
    INCOMPLETE,
    NOT_FOUND,
    UNSAFE_ROOT,
    RefusalError,
)
from device_agent.contract.manifest import OWN_NAMES, Manifest, manifest_digest, parse_manifest
from device_agent.contract.signed_text import MOST_BYTES
from device_agent.store.blobs import Blobs
from device_agent.store.durable import (
    fsync_folder,
    link_durably,
    make_folder,
    open_file,
    rename_durably,
    unlink_durably,
    write_all,
    write_durably,
)
from device_agent.store.folders import Folders, digests_in, name_in

_MANIFEST, _SIGNATURES, _VARIANT = OWN_NAMES
_BLOBS_FROM_RELEASE = "../../cas/sha256/"


class StagedRelease(NamedTuple):
    """A release on the disk of the board."""

    digest: str
    """Digest of its manifest."""
    manifest: Manifest
    text: bytes
    """Bytes of the manifest, which were signed."""
    signatures: List[str]
    variant: str
    """Name of the variant that the board has."""

    @property
    def files(self) -> Dict[str, str]:
        """Digest of each file of the variant, by its path."""
        return self.manifest.variant(self.variant).files


class ReleaseFolders:
    """The releases of a store, complete or not."""

    def __init__(self, folders: Folders, blobs: Blobs) -> None:
        self._folders = folders
        self._blobs = blobs

    def path(self, digest: str) -> str:
        """Return the folder of a release, whether it is there or not."""
        return name_in(self._folders.releases, digest)

    def names(self) -> List[str]:
        """Return the digests of all releases, complete or not; other names are not kedge's."""
        return digests_in(self._folders.releases)

    def read(self, digest: str) -> StagedRelease:
        """Read what a folder says of its release; its files are not looked at.

        Raises:
            RefusalError: The board has no such release, or its manifest is damaged.
            OSError: It cannot be read, which may be for now alone.
        """
        folder = self.path(digest)
        if os.path.islink(folder) or not os.path.isdir(folder):
            if os.path.lexists(folder):
                raise _foreign(folder)
            message = "the release {} is not staged on the board".format(digest)
            raise RefusalError(NOT_FOUND, message, "Stage it first.")
        try:
            text = _read(os.path.join(folder, _MANIFEST))
            variant = _read(os.path.join(folder, _VARIANT)).decode("ascii").strip()
            if manifest_digest(text) != digest:
                raise ValueError("its manifest is damaged")
            manifest = parse_manifest(text)
            manifest.variant(variant)
            return StagedRelease(digest, manifest, text, _signatures(folder), variant)
        except (
            FileNotFoundError,
            NotADirectoryError,
            ValueError,
        ) as error:  # RecordError and UnicodeError are ValueErrors
            raise _damaged(digest, error) from error

    def require_whole(self, release: StagedRelease) -> None:
        """Refuse a release of which a file is absent or damaged; hashes all of them.

        Raises:
            RefusalError: A file or a link is not what the manifest says.
        """
        fault = self._fault(release)
        if fault:
            raise _damaged(release.digest, fault)

    def require_present(self, release: StagedRelease) -> None:
        """Refuse a release of which a file is absent or has another size; hashes nothing.

        Raises:
            RefusalError: A file or a link is not what the manifest says.
        """
        folder, blobs = self.path(release.digest), release.manifest.blobs
        for path, sha256 in sorted(release.files.items()):
            place = os.path.join(folder, path)
            is_link = _link_of(place) == _link_target(path, sha256)
            if not is_link or self._blobs.size(sha256) != blobs[sha256].size:
                raise _damaged(release.digest, "{} is absent or damaged".format(path))

    def is_whole(self, digest: str) -> bool:
        """Whether all of a release is on the disk as its manifest says; hashes all files.

        What cannot be read twice counts as damaged.
        """
        for _ in range(2):
            try:
                self.require_whole(self.read(digest))
                return True
            except RefusalError:
                return False
            except OSError:
                continue
        return False

    def write(self, release: StagedRelease) -> None:
        """Make the folder of a release whose blobs are there, or repair it in its place.

        Raises:
            RefusalError: Something that kedge did not make lies in its place.
            OSError: It cannot be written; a new folder is not there then.
        """
        folder = self.path(release.digest)
        if os.path.lexists(folder):
            if os.path.islink(folder) or not os.path.isdir(folder):
                raise _foreign(folder)
            self._repair(folder, release)
            return
        with self._folders.workspace() as space:
            building = os.path.join(space, "release")
            os.mkdir(building)
            for path, content in _own_files(release).items():
                _make_parents(building, path)
                _write_new(os.path.join(building, path), content)
            for path, sha256 in release.files.items():
                _make_parents(building, path)
                os.symlink(_link_target(path, sha256), os.path.join(building, path))
            for place, _, _ in os.walk(building, topdown=False):
                fsync_folder(place)
            rename_durably(building, folder)

    def remove(self, digest: str) -> None:
        """Remove the folder of a release; it is renamed first, so that no half of it stays."""
        with self._folders.workspace() as going:
            os.replace(self.path(digest), os.path.join(going, "release"))
            fsync_folder(self._folders.releases)

    def _repair(self, folder: str, release: StagedRelease) -> None:
        """Exchange what differs from the manifest, each file as a whole; `current` may use it."""
        for path, content in _own_files(release).items():
            place = os.path.join(folder, path)
            if _read_or_none(place) != content:
                make_folder(os.path.dirname(place))
                write_durably(place, content)
        for path, sha256 in release.files.items():
            place = os.path.join(folder, path)
            if _link_of(place) != _link_target(path, sha256):
                make_folder(os.path.dirname(place))
                link_durably(_link_target(path, sha256), place)
        for number in range(len(release.signatures), len(_signatures(folder))):
            unlink_durably(os.path.join(folder, _SIGNATURES, "{}.sig".format(number)))

    def _fault(self, release: StagedRelease) -> str:
        """Return what is wrong with the files of a release; empty for nothing."""
        folder = self.path(release.digest)
        for path, sha256 in sorted(release.files.items()):
            if _link_of(os.path.join(folder, path)) != _link_target(path, sha256):
                return "{} does not lead to its file".format(path)
            if not self._blobs.is_whole(sha256):
                return "{} is absent or damaged".format(path)
        return ""


def require_blobs(blobs: Blobs, files: Dict[str, str]) -> None:
    """Refuse a release of which files are not on the board.

    Raises:
        RefusalError: Its message names the digests of the absent files.
    """
    absent = sorted(sha256 for sha256 in set(files.values()) if not blobs.has(sha256))
    if absent:
        message = "{} files of the release are not on the board: {}"
        raise RefusalError(
            INCOMPLETE, message.format(len(absent), " ".join(absent[:20])), "Send them first."
        )


def _own_files(release: StagedRelease) -> Dict[str, bytes]:
    files = {_MANIFEST: release.text, _VARIANT: release.variant.encode("ascii") + b"\n"}
    for number, text in enumerate(release.signatures):
        name = "{}/{}.sig".format(_SIGNATURES, number)
        files[name] = text.encode("utf-8", "replace")
    return files


def _signatures(folder: str) -> List[str]:
    place = os.path.join(folder, _SIGNATURES)
    names = [name for name in os.listdir(place) if name.endswith(".sig")]
    return [
        _read(os.path.join(place, name)).decode("utf-8", "replace")
        for name in sorted(names, key=lambda name: (len(name), name))
    ]


def _link_target(path: str, sha256: str) -> str:
    return "../" * path.count("/") + _BLOBS_FROM_RELEASE + sha256


def _link_of(path: str) -> str:
    try:
        return os.readlink(path)
    except OSError:
        return ""


def _make_parents(folder: str, path: str) -> None:
    for part in path.split("/")[:-1]:
        folder = os.path.join(folder, part)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder)


def _write_new(path: str, content: bytes) -> None:
    handle = open_file(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        write_all(handle, content)
        os.fsync(handle)
    finally:
        os.close(handle)


def _read(path: str) -> bytes:
    with os.fdopen(open_file(path, os.O_RDONLY), "rb") as file:
        return file.read(MOST_BYTES + 1)


def _read_or_none(path: str) -> Optional[bytes]:
    try:
        return _read(path)
    except OSError:
        return None


def _foreign(path: str) -> RefusalError:
    message = "{} is not a folder that kedge made".format(path)
    return RefusalError(UNSAFE_ROOT, message, "Remove it on the board, then try again.")


def _damaged(digest: str, reason: object) -> RefusalError:
    message = "the release {} is damaged on the board: {}".format(digest[:12], reason)
    hint = "Stage it again; check the board's storage."
    return RefusalError(DIGEST_MISMATCH, message, hint)
