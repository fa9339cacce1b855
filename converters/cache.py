"""What finished steps of conversions left, by digest of all that decided it.

An entry is one file: its digest, a line feed, then a ZIP of named parts. It is written beside its
place and renamed there, so that it is whole or absent; what does not match its digest is removed,
and the step is done again. The folder has a bound; the entries that were not used for longest go.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import tempfile
import time
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from converters import durable
from converters.errors import ConversionError

#: A model of 25 million weights takes 0.1 GB, with its optimizer 0.3 GB.
LIMIT_BYTES = 2 * 2**30
_SUFFIX = ".entry"
_PART = ".part-"
#: Age, in seconds, at which the half-written entry of a conversion that was killed is removed.
_STALE_S = 3600.0
#: ZIP's oldest date: an entry tells what, not when, so that equal contents are equal files.
_DATE = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Cache:
    """A folder of entries."""

    folder: Path
    """Made when the first entry is put."""
    limit_bytes: int = LIMIT_BYTES
    """So much stays at most; an entry that is larger alone is not kept."""

    def get(self, key: str) -> dict[str, bytes] | None:
        """The parts of an entry; None if there is none that is whole.

        Args:
            key: Hex digits.
        """
        path = self.folder / (key + _SUFFIX)
        try:
            content = path.read_bytes()
        except OSError:
            return None
        digest, _, body = content.partition(b"\n")
        if digest != hashlib.sha256(body).hexdigest().encode():
            self.remove(key)
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}

    def put(self, key: str, parts: Mapping[str, bytes]) -> None:
        """Keep an entry, in the place of one with the same key.

        Raises:
            HostDiskError: The disk is full or read-only; nothing is left of it.
            ConversionError: The folder cannot be written.
        """
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name in sorted(parts):
                archive.writestr(zipfile.ZipInfo(name, _DATE), parts[name])
        body = buffer.getvalue()
        if len(body) > self.limit_bytes:
            return
        with durable.translate_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._evict(len(body))
            handle, name = tempfile.mkstemp(prefix=_PART, dir=self.folder)
            os.close(handle)
        part = Path(name)
        try:
            durable.write(part, hashlib.sha256(body).hexdigest().encode() + b"\n" + body)
            with durable.translate_errors(self.folder):
                part.replace(self.folder / (key + _SUFFIX))
        except ConversionError:
            part.unlink(missing_ok=True)
            raise

    def remove(self, key: str) -> None:
        """Forget an entry, if there is one."""
        with contextlib.suppress(OSError):
            (self.folder / (key + _SUFFIX)).unlink(missing_ok=True)

    def _evict(self, coming_bytes: int) -> None:
        entries = []
        for path in self.folder.iterdir():
            with contextlib.suppress(FileNotFoundError):
                status = path.stat()
                if path.name.startswith(_PART) and time.time() - status.st_mtime > _STALE_S:
                    path.unlink()
                elif path.suffix == _SUFFIX:
                    entries.append((status.st_mtime, status.st_size, path))
        room = self.limit_bytes - coming_bytes - sum(size for _, size, _ in entries)
        for _, size, path in sorted(entries):
            if room >= 0:
                break
            path.unlink(missing_ok=True)
            room += size


@dataclass(frozen=True)
class CacheEntry:
    """The place of one entry."""

    cache: Cache
    """The cache that holds it."""
    key: str
    """Digest of all that decides its content, in hex digits."""

    def get(self) -> dict[str, bytes] | None:
        """Return the entry's parts; None if there is none that is whole."""
        return self.cache.get(self.key)

    def put(self, parts: Mapping[str, bytes]) -> None:
        """Keep parts in the place of those that are there.

        Raises:
            HostDiskError: The disk is full or read-only; nothing is left of it.
            ConversionError: The folder cannot be written.
        """
        self.cache.put(self.key, parts)
