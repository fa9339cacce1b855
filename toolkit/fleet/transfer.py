"""Sends the files of a release to a board, each in its smallest form."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

from device_agent.contract.codes import IntegrityError
from device_agent.contract.manifest import MODEL, Variant
from targets.agent_client import AgentError
from targets.device import Device
from toolkit.bundle.bundle_file import Bundle
from toolkit.bundle.delta import FULL, Delta, best_delta
from toolkit.bundle.delta_cache import DeltaCache
from toolkit.fleet.release_archive import ReleaseArchive

#: Smaller files are sent as they are: a delta would cost a round trip more than it saves.
_LEAST_DELTA_BYTES = 4096


@dataclass
class Sending:
    """Amount that was sent to a board, or would be."""

    full_bytes: int = 0
    """Size of the files that the board did not have."""
    sent_bytes: int = 0
    """Number of bytes in which they are sent."""
    notes: list[str] = field(default_factory=list)
    """Sentences for people, where a delta gains nothing."""


class ReleaseFiles:
    """The files of one variant of a release, and of the release that a board runs now."""

    def __init__(
        self, store: ReleaseArchive, deltas: DeltaCache, bundle: Bundle, variant: Variant
    ) -> None:
        self._deltas = deltas
        self._bundle = bundle
        self._variant = variant
        self._store = store
        self.sizes = {sha256: bundle.manifest.blobs[sha256].size for sha256 in _digests(variant)}
        """Size in bytes by SHA-256 of each file that the board needs."""

    def form_of(self, sha256: str, base: Path | None) -> Delta:
        """Return the form in which a file is sent.

        Args:
            sha256: Digest of the file.
            base: Model that the board runs now; `None` for none.
        """
        size = self.sizes[sha256]
        if size < _LEAST_DELTA_BYTES:
            return Delta(FULL, b"", "", sha256, size, has_choice=False)
        is_model = self._bundle.manifest.blobs[sha256].role == MODEL
        return best_delta(base if is_model else None, self.path_of(sha256), self._deltas)

    def path_of(self, sha256: str) -> Path:
        """Return the path of a file on this host."""
        folder = self._store.unpack(self._bundle, self._variant)
        name = next(name for name, digest in self._variant.files.items() if digest == sha256)
        return folder / name

    def plan(self, digests: Collection[str], base: Path | None) -> Sending:
        """Return what a board would be sent."""
        forms = [self.form_of(sha256, base) for sha256 in sorted(digests)]
        return Sending(
            full_bytes=sum(form.target_size for form in forms),
            sent_bytes=sum(form.size for form in forms),
            notes=sorted({form.note for form in forms if form.note}),
        )

    def send(self, device: Device, digests: Collection[str], base: Path | None) -> Sending:
        """Send files to a board.

        Args:
            device: Board.
            digests: SHA-256 of the files that it does not have.
            base: Model that the board runs now; `None` for none.

        Raises:
            TargetError: The board cannot be reached any more, or has no room.
            IntegrityError: Bytes arrived damaged.
        """
        sending = Sending()
        for sha256 in sorted(digests):
            form = self.form_of(sha256, base)
            sending.full_bytes += form.target_size
            sending.sent_bytes += self._send(device, form)
            if form.note:
                sending.notes.append(form.note)
        return sending

    def _send(self, device: Device, form: Delta) -> int:
        releases, target = device.releases, (form.target, form.target_size)
        if form.algorithm != FULL:
            try:
                return releases.send_delta(form.content, form.algorithm, form.base, target)
            except (AgentError, IntegrityError):  # no base, a damaged one, or no decoder there
                pass
        with self.path_of(form.target).open("rb") as file:
            return releases.send(file, *target)


def model_digest(variant: Variant) -> str:
    """Return the SHA-256 of the model of a variant."""
    return variant.files[variant.model]


def base_model(store: ReleaseArchive, release: str, variant: str) -> Path | None:
    """Return the model of a release that a board runs.

    Args:
        store: Releases of the project.
        release: Digest of the manifest; empty for none.
        variant: Name of the variant.

    Returns:
        Path of the model here; `None` where the project does not have the release.
    """
    bundle = store.find(release) if release else None
    if bundle is None:
        return None
    for entry in bundle.manifest.variants:
        if entry.name == variant:
            path = store.unpack(bundle, entry) / entry.model
            with path.open("rb") as file:
                is_whole = hashlib.sha256(file.read()).hexdigest() == model_digest(entry)
            return path if is_whole else None
    return None


def _digests(variant: Variant) -> list[str]:
    return sorted(set(variant.files.values()))
