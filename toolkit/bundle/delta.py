"""The smallest form in which a board that has one file can receive another one.

Deltas are kept by the digests of both files, so that a fleet of a thousand boards needs one.
"""

from __future__ import annotations

import hashlib
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

#: Thread that builds; the others wait for what it leaves in the cache.
_building = threading.Lock()


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
    with _building:
        new = _read(target)
        old = None if base is None else _read(base)
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
        has_choice=old is not None,
    )


def _candidates(
    base: Path | None, target: Path, old: bytes | None, new: bytes
) -> Iterator[tuple[str, bytes]]:
    """Yield algorithm and content of each form but the file itself."""
    yield FULL, new
    if len(new) > MOST_DELTA_BYTES:
        return
    yield XZ, encode_whole(new)
    if base is None or old is None or len(old) > MOST_DELTA_BYTES:
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
        raise ToolkitError(
            f"{path}: cannot be read: {error.strerror or error}", "Check the path."
        ) from error


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
