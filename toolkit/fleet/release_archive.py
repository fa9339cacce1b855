"""The releases that a project has rolled out: their bundles, kept for rollbacks and as bases.

A rollout copies its bundle here, so that a later one can send differences to it, measure against
it, and go back to it, wherever the file was built.
"""

from __future__ import annotations

import hashlib
import shutil
import threading
from pathlib import Path

from device_agent.contract.codes import IntegrityError
from device_agent.contract.manifest import Variant
from toolkit.bundle.bundle_file import Bundle, read_bundle, unpack_variant, verify_bundle
from toolkit.errors import ToolkitError

#: Folder of the releases, below `.kedge`.
FOLDER = "releases"

_BUNDLE = "release.bundle"


class ReleaseArchive:
    """The releases of one project, by digest of the manifest; used by several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._bundles: dict[str, Bundle | None] = {}
        self._whole: set[Path] = set()
        """Folders of variants that were whole when they were read."""

    def keep(self, bundle: Bundle) -> Bundle:
        """Check every file of a bundle, and copy it here unless it is here.

        Returns:
            The copy.

        Raises:
            IntegrityError: A file of the bundle differs from its digest.
            ToolkitError: It cannot be copied.
        """
        verify_bundle(bundle)
        path = self._path(bundle.digest)
        copy = self.find(bundle.digest)
        if copy is not None and copy.signatures == bundle.signatures:
            return copy
        new = path.with_name(".new-" + path.name)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(bundle.path, new)
            new.replace(path)
        except OSError as error:
            raise ToolkitError(
                f"cannot keep {bundle.path} in {path.parent}: {error.strerror or error}",
                "Free some space, and make the project's folder writable for you.",
            ) from error
        self._bundles.pop(bundle.digest, None)
        copy = self.find(bundle.digest)
        if copy is None:
            raise IntegrityError(f"{path} was changed while it was written", "Try again.")
        return copy

    def find(self, release: str) -> Bundle | None:
        """Return the bundle of a release; `None` where the project does not have it whole."""
        if release not in self._bundles:
            path = self._path(release)
            try:
                bundle = read_bundle(path) if path.is_file() else None
            except (IntegrityError, ToolkitError):
                bundle = None
            is_right = bundle is not None and bundle.digest == release
            self._bundles[release] = bundle if is_right else None
        return self._bundles[release]

    def require(self, release: str) -> Bundle:
        """Return the bundle of a release.

        Raises:
            ToolkitError: The project does not have it.
        """
        bundle = self.find(release)
        if bundle is None:
            raise ToolkitError(
                f"the bundle of release {release[:12]} is not in {self._folder}",
                f"Copy it to {self._path(release)}.",
            )
        return bundle

    def releases(self) -> list[str]:
        """Return the digests of all releases here."""
        return sorted(path.parent.name for path in self._folder.glob(f"*/{_BUNDLE}"))

    def unpack(self, bundle: Bundle, variant: Variant) -> Path:
        """Return the folder with the files of a variant, written anew where one was damaged.

        The first call of a process writes or checks it.

        Raises:
            IntegrityError: A file differs in the bundle.
            HostDiskError: The disk is full or read-only.
        """
        folder = self._folder / bundle.digest / variant.name
        with self._lock:
            if folder not in self._whole and not _is_whole(folder, variant):
                shutil.rmtree(folder, ignore_errors=True)
                new = folder.with_name(".new-" + folder.name)
                shutil.rmtree(new, ignore_errors=True)
                unpack_variant(bundle, variant.name, new)
                new.rename(folder)
            self._whole.add(folder)
        return folder

    def _path(self, release: str) -> Path:
        return self._folder / release / _BUNDLE


def _is_whole(folder: Path, variant: Variant) -> bool:
    try:
        return all(
            hashlib.sha256((folder / name).read_bytes()).hexdigest() == sha256
            for name, sha256 in variant.files.items()
        )
    except OSError:
        return False
