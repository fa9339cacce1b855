"""The smallest form in which a board that has one file can receive another one.

Deltas are kept by the digests of both files, so that a fleet of a thousand boards needs one.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from converters.errors import ConversionError
from converters.formats import FORMATS
from converters.model_file import StoredTensor
from device_agent.contract.delta_format import PATCH, TENSOR, XZ
from toolkit.bundle.delta_cache import DeltaCache
from toolkit.bundle.delta_content import encode_parts, encode_whole
from toolkit.bundle.delta_parts import match_bytes, match_tensors
from toolkit.errors import ToolkitError

#: Name of the form in which the file itself is sent.
FULL = "full"

#: Larger files are sent as they are: to compress them takes minutes.
MOST_DELTA_BYTES = 256 << 20

#: Held by the thread that builds; the others wait for what it leaves in the cache.
_building = threading.Lock()

#: Most bytes of deltas that stay in memory, so that each board of a rollout costs a look-up.
_MOST_RECENT_BYTES = 64 << 20
_MOST_RECENT = 100


@dataclass(frozen=True)
class Delta:
    """A file in the form in which it is sent."""

    algorithm: str
    """`FULL`, or an algorithm of `device_agent.contract.delta_format`."""
    content: bytes
    """Bytes to send; empty for `FULL`."""
    base: str
    """SHA-256 of the file that the board must have; empty for none."""
    target: str
    """SHA-256 of the new file."""
    target_size: int
    """Size of the new file in bytes."""
    has_choice: bool
    """Whether there was another file from which a delta could have been built."""

    @property
    def size(self) -> int:
        """Number of bytes to send."""
        return self.target_size if self.algorithm == FULL else len(self.content)

    @property
    def note(self) -> str:
        """Sentence for people where a delta gains nothing; else empty."""
        if not self.has_choice or self.base:
            return ""
        return (
            f"A delta gains nothing: no difference to the file on the board is smaller than the "
            f"whole file, which is sent in {self.size:,} bytes."
        )


def best_delta(base: Path | None, target: Path, cache: DeltaCache | None = None) -> Delta:
    """Return the smallest form of a file for a board that has another file.

    Args:
        base: File that the board has; `None` for none.
        target: File that it is to get.
        cache: Place of deltas that were built before; `None` to keep none.

    Raises:
        ToolkitError: A file cannot be read.
    """
    stamps = (None if base is None else _stamp(base), _stamp(target))
    with _building:
        delta = _recent.get(stamps)
        if delta is None:
            delta = _find_delta(base, target, cache)
            _remember(stamps, delta)
        return delta


def _find_delta(base: Path | None, target: Path, cache: DeltaCache | None) -> Delta:
    """Take a delta out of the cache, or build it."""
    if _size(target) > MOST_DELTA_BYTES:
        digest, size = _digest_file(target)
        return Delta(FULL, b"", "", digest, size, has_choice=base is not None)
    new = _read(target)
    old = None if base is None or _size(base) > MOST_DELTA_BYTES else _read(base)
    digests = ("" if old is None else _digest(old), _digest(new))
    entry = cache.get(*digests) if cache is not None else None
    if entry is None:
        entry = min(_candidates(base, target, old, new), key=lambda entry: len(entry[1]))
        entry = entry if len(entry[1]) < len(new) else (FULL, b"")
        if cache is not None:
            cache.put(*digests, entry)
    algorithm, content = entry
    has_base = algorithm not in (FULL, XZ)
    return Delta(
        algorithm,
        content,
        base=digests[0] if has_base else "",
        target=digests[1],
        target_size=len(new),
        has_choice=base is not None,
    )


#: Deltas that were requested lately, by size, time of change and place of both files.
_recent: dict[tuple[object, object], Delta] = {}


def _remember(stamps: tuple[object, object], delta: Delta) -> None:
    _recent[stamps] = delta
    size = sum(len(entry.content) for entry in _recent.values())
    if size > _MOST_RECENT_BYTES or len(_recent) > _MOST_RECENT:
        _recent.clear()


def _stamp(path: Path) -> tuple[object, ...]:
    state = _state(path)
    return (str(path.absolute()), state.st_ino, state.st_size, state.st_mtime_ns)


def _size(path: Path) -> int:
    return _state(path).st_size


def _state(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        raise _unreadable(path, error) from error


def _candidates(
    base: Path | None, target: Path, old: bytes | None, new: bytes
) -> Iterator[tuple[str, bytes]]:
    """Yield algorithm and content of each form; of `FULL` the file itself."""
    yield FULL, new
    yield XZ, encode_whole(new)
    if base is None or old is None:
        return
    for algorithm, parts in (
        (PATCH, match_bytes(old, new)),
        (TENSOR, match_tensors(old, new, *_stored_tensors(base, target))),
    ):
        if any(part.source is not None for part in parts):
            content = encode_parts(old, new, parts)
            yield from () if content is None else ((algorithm, content),)


def _stored_tensors(
    base: Path, target: Path
) -> tuple[tuple[StoredTensor, ...], tuple[StoredTensor, ...]]:
    """Return the tensors of two files of one format; none where they have none in common."""
    for form in FORMATS.values():
        try:
            return form.stored_tensors(base), form.stored_tensors(target)
        except ConversionError:
            continue
    return (), ()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> ToolkitError:
    return ToolkitError(f"{path}: cannot be read: {error.strerror or error}", "Check the path.")


def _digest_file(path: Path) -> tuple[str, int]:
    """Return digest and size of a file that is too large for the memory."""
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                digest.update(chunk)
                size += len(chunk)
    except OSError as error:
        raise _unreadable(path, error) from error
    return digest.hexdigest(), size


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
