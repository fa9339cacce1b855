"""What finished steps of conversions left, by digest of all that decided it.

An entry is one file: its digest, a line feed, then a ZIP of named parts. It is written beside its
place and renamed there, so that it is whole or absent; what does not match its digest is removed,
and the step is done again. The folder has a bound; the entries that were not used for longest go.

Folder and entries are of this user and closed to all others. An entry that is not was put there by
somebody else, such as with the files of a project, and is not read.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from converters import durable
from converters.errors import ConversionError

Value = TypeVar("Value")

#: A model of 25 million weights takes 0.1 GB, with its optimizer 0.3 GB.
LIMIT_BYTES = 2 * 2**30
_SUFFIX = ".entry"
_PART = ".part-"
#: Age, in seconds, at which the half-written entry of a conversion that was killed is removed.
_STALE_S = 3600.0
_DIGEST_BYTES = 65
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
        content = self._content(self.folder / (key + _SUFFIX))
        if content is None:
            return None
        digest, _, body = content.partition(b"\n")
        if digest != hashlib.sha256(body).hexdigest().encode():
            self.remove(key)
            return None
        with contextlib.suppress(OSError):
            os.utime(self.folder / (key + _SUFFIX))
        try:
            with zipfile.ZipFile(io.BytesIO(body)) as archive:
                # Parts are stored as they are; whoever packed them smaller was not `put`.
                if sum(info.file_size for info in archive.infolist()) <= len(body):
                    return {name: archive.read(name) for name in archive.namelist()}
        except Exception:  # noqa: S110 - whatever a ZIP that nobody wrote makes its reader raise
            pass
        self.remove(key)
        return None

    def read(self, key: str, parse: Callable[[dict[str, bytes]], Value]) -> Value | None:
        """Return what a function makes of an entry's parts; what it cannot read is removed.

        Args:
            key: Hex digits.
            parse: Function of the parts; any error of damaged data or of a refused model means
                that the entry is not what `put` kept.

        Returns:
            The function's result; None if there is no entry that is whole.
        """
        parts = self.get(key)
        if parts is None:
            return None
        try:
            return parse(parts)
        except Exception:  # whatever parts that nobody wrote make their reader raise
            self.remove(key)
            return None

    def _content(self, path: Path) -> bytes | None:
        """Content of an entry of this user; None for one of somebody else, or without limits."""
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(handle, "rb") as file:
                status = os.fstat(file.fileno())
                is_own = _is_closed(status) and _is_closed(self.folder.stat(), writing_only=True)
                if not is_own or not stat.S_ISREG(status.st_mode):
                    return None
                return file.read() if status.st_size <= self.limit_bytes + _DIGEST_BYTES else None
        except OSError:
            return None

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
            self.folder.mkdir(0o700, parents=True, exist_ok=True)
            if not _is_closed(self.folder.stat()):
                self.folder.chmod(0o700)
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


def _is_closed(status: os.stat_result, writing_only: bool = False) -> bool:
    """Whether a file or folder is of this user, and no other may read or write it."""
    others = 0o022 if writing_only else 0o077
    return status.st_uid == os.geteuid() and not status.st_mode & others


@dataclass(frozen=True)
class CacheEntry:
    """The place of one entry."""

    cache: Cache
    """The cache that holds it."""
    key: str
    """Digest of all that decides its content, in hex digits."""

    def read(self, parse: Callable[[dict[str, bytes]], Value]) -> Value | None:
        """Return what a function makes of the entry's parts; None if there is none that is whole.

        Args:
            parse: Function of the parts, which may raise whatever damaged parts make it raise.
        """
        return self.cache.read(self.key, parse)

    def put(self, parts: Mapping[str, bytes]) -> None:
        """Keep parts in the place of those that are there.

        Raises:
            HostDiskError: The disk is full or read-only; nothing is left of it.
            ConversionError: The folder cannot be written.
        """
        self.cache.put(self.key, parts)
