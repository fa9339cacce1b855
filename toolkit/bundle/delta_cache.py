"""Deltas that were built before, by the digests of the two files.

An entry is one file: the digest of the rest, a line with the algorithm, the content. An entry that
does not match its digest is removed, and the delta is built again. The folder has a bound; what was
not used for longest goes.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

from targets.file_edit import replace_file

#: Largest size of all entries in bytes.
LIMIT_BYTES = 1 << 30

_SUFFIX = ".delta"
#: Digits of each digest in the name of an entry.
_DIGITS = 32
_PARTIAL = ".kedge-*"
#: Age in seconds after which a partial entry belongs to a process that was killed.
_STALE_S = 3600.0


@dataclass(frozen=True)
class DeltaCache:
    """A folder of deltas."""

    folder: Path
    """Folder, which the first entry creates."""
    limit_bytes: int = LIMIT_BYTES
    """Largest size of all entries together."""

    def get(self, base: str, target: str) -> tuple[str, bytes] | None:
        """Return algorithm and content of a delta; `None` where there is no whole one.

        Args:
            base: SHA-256 of the file that the board has; empty for none.
            target: SHA-256 of the new file.
        """
        path = self._path(base, target)
        try:
            digest, _, rest = path.read_bytes().partition(b"\n")
            algorithm, _, content = rest.partition(b"\n")
            if hashlib.sha256(rest).hexdigest().encode() == digest:
                os.utime(path)
                return algorithm.decode(), content
            path.unlink()
        except (OSError, ValueError):
            pass
        return None

    def put(self, base: str, target: str, entry: tuple[str, bytes]) -> None:
        """Keep a delta; a disk that refuses it costs the time to build it again, nothing else."""
        algorithm, content = entry
        rest = algorithm.encode() + b"\n" + content
        if len(rest) > self.limit_bytes:
            return
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            text = hashlib.sha256(rest).hexdigest().encode() + b"\n" + rest
            replace_file(self._path(base, target), text)
            self._limit()

    def _path(self, base: str, target: str) -> Path:
        return self.folder / f"{base[:_DIGITS] or 'none'}-{target[:_DIGITS]}{_SUFFIX}"

    def _limit(self) -> None:
        """Remove what was not used for longest until the rest fits."""
        for partial in self.folder.glob(_PARTIAL):
            if time.time() - partial.stat().st_mtime > _STALE_S:
                partial.unlink()
        entries = [(path.stat(), path) for path in self.folder.glob(f"*{_SUFFIX}")]
        entries.sort(key=lambda entry: entry[0].st_mtime_ns)
        size = sum(state.st_size for state, _ in entries)
        for state, path in entries:
            if size <= self.limit_bytes:
                break
            path.unlink()
            size -= state.st_size
