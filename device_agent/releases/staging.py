"""Brings a release onto the disk: its files among the blobs, its signatures checked, its folder."""

from __future__ import annotations

from typing import Any, Dict, List, Tuple

from device_agent.contract.codes import (
    BAD_REQUEST,
    DIGEST_MISMATCH,
    NO_SPACE,
    ON_TRIAL,
    RefusalError,
)
from device_agent.contract.manifest import (
    RELEASE_NAMESPACE,
    Manifest,
    manifest_digest,
    parse_manifest,
)
from device_agent.contract.records import RecordError
from device_agent.releases.garbage import removable_bytes
from device_agent.releases.release_folder import StagedRelease, require_blobs
from device_agent.releases.release_store import ReleaseStore
from device_agent.signatures import require_signatures

#: Most digests that a host learns of blobs from which others may be made.
MOST_BASES = 256


def find_missing(store: ReleaseStore, digests: List[str], sizes: List[int]) -> Dict[str, Any]:
    """Return which files the board lacks, and the blobs that it has.

    Args:
        store: Releases of the board.
        digests: SHA-256 of each file that a release needs.
        sizes: Size of each of them in bytes.

    Raises:
        RefusalError: The two lists differ in length, or what is missing does not fit on the disk,
            also when what nothing uses is removed; or the disk cannot be written.
    """
    if len(digests) != len(sizes) or any(size < 0 for size in sizes):
        raise RefusalError(BAD_REQUEST, "expected as many sizes of 0 or more as files")
    absent = []
    for sha256, size in zip(digests, sizes):
        is_here = store.blobs.has(sha256) and store.blobs.size(sha256) == size
        if not is_here and not store.store.scratch.has(sha256, size):
            absent.append((sha256, size))
    _require_space(store, sum(size for _, size in absent))
    return {
        "missing": [sha256 for sha256, _ in absent],
        "bases": store.blobs.names()[:MOST_BASES],
    }


def stage_release(store: ReleaseStore, text: bytes, signatures: List[str], variant: str) -> str:
    """Make a release out of files that have arrived; return its digest.

    Files are hashed as they are on the disk, then signatures are checked. `current` stays.

    Args:
        store: Releases of the board, locked.
        text: Manifest.
        signatures: SSH signatures of the manifest.
        variant: Name of the variant for this board.

    Raises:
        RefusalError: A file is absent or damaged, the manifest is wrong, or it is not trusted.
    """
    manifest, files = _read(text, variant)
    _take(store, manifest, files)
    require_blobs(store.blobs, files)
    root = store.roots.require()
    require_signatures(
        "the release", text, signatures, RELEASE_NAMESPACE, root.signers, root.threshold
    )
    digest = manifest_digest(text)
    _make_room(store, digest, variant)
    release = StagedRelease(digest, manifest, text, signatures, variant)
    store.releases.write(release)
    store.releases.require_whole(release)
    return digest


def _read(text: bytes, variant: str) -> Tuple[Manifest, Dict[str, str]]:
    try:
        manifest = parse_manifest(text)
        return manifest, manifest.variant(variant).files
    except RecordError as error:
        raise RefusalError(DIGEST_MISMATCH, "the manifest is damaged: {}".format(error)) from error


def _take(store: ReleaseStore, manifest: Manifest, files: Dict[str, str]) -> None:
    """Move the files that lie in the scratch area, and are not among the blobs, to the blobs."""
    paths = {}
    for sha256 in set(files.values()):
        size = manifest.blobs[sha256].size
        if not store.blobs.has(sha256) and store.store.scratch.has(sha256, size):
            paths[sha256] = store.store.scratch.path(sha256)
    store.blobs.take(paths)


def _make_room(store: ReleaseStore, digest: str, variant: str) -> None:
    """Remove the folder of another variant of the release, which nothing uses."""
    if digest not in store.releases.names():
        return
    try:
        present = store.releases.read(digest).variant
    except RefusalError:
        return  # damaged: it is repaired in its place
    if present == variant:
        return
    if digest in store.used_releases():
        message = "the board uses variant {} of this release, not {}"
        raise RefusalError(ON_TRIAL, message.format(present, variant), "Release it anew.")
    store.releases.remove(digest)


def _require_space(store: ReleaseStore, size: int) -> None:
    try:
        store.folders.require_files()
        store.folders.require_space(size)
    except RefusalError as error:
        removable = removable_bytes(store) if error.code == NO_SPACE else 0
        if not removable:
            raise
        store.folders.require_space(max(0, size - removable))
