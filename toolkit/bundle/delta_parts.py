"""Which parts of a new file are written from which parts of an old one.

Two ways: by equal bytes (bsdiff), or by the tensors of two model files. Weights of a fine-tuned
model have hardly any equal bytes, but each is close to its value before.
"""

from __future__ import annotations

import bz2
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import bsdiff4

from converters.model_file import StoredTensor

#: Width in bytes of the numbers of a tensor, by NumPy's name of its type; others have single bytes.
_WIDTHS = {"int16": 2, "float16": 2, "bfloat16": 2, "int32": 4, "float32": 4}


#: Sizes of both files together up to which equal bytes are sought; it takes 9 times the memory.
MOST_MATCHED_BYTES = 64 << 20


@dataclass(frozen=True)
class DeltaPart:
    """A part of a new file."""

    start: int
    """Place of its first byte in the new file."""
    size: int
    """Number of bytes."""
    source: int | None
    """Place in the old file to which differences are added; `None` for new bytes."""
    width: int = 1
    """Width in bytes of the numbers that are added."""


def match_bytes(old: bytes, new: bytes) -> list[DeltaPart]:
    """Match two files by equal bytes.

    Returns:
        Parts of the new file, in its order and without gaps.
    """
    if not new:
        return []
    if not old or len(old) + len(new) > MOST_MATCHED_BYTES:
        return [DeltaPart(0, len(new), None)]
    parts, start, source = [], 0, 0
    for add_size, copy_size, seek in _control(bsdiff4.diff(old, new)):
        parts += [DeltaPart(start, add_size, source), DeltaPart(start + add_size, copy_size, None)]
        start += add_size + copy_size
        source += add_size + seek
    return [part for part in parts if part.size]


def match_tensors(
    old: bytes,
    new: bytes,
    old_tensors: Sequence[StoredTensor],
    new_tensors: Sequence[StoredTensor],
) -> list[DeltaPart]:
    """Match two model files by their tensors, and what lies between these by equal bytes.

    Args:
        old: Content of the old file.
        new: Content of the new file.
        old_tensors: Constant tensors of the old file.
        new_tensors: Constant tensors of the new file, in the order of their places.

    Returns:
        Parts of the new file, in its order and without gaps; empty where no tensors match.
    """
    pairs = _pairs(old_tensors, new_tensors)
    if not pairs:
        return []
    tensors = [
        DeltaPart(after.offset, after.size, before.offset, _WIDTHS.get(after.dtype, 1))
        for before, after in pairs
    ]
    old_rest = _gaps([(before.offset, before.size) for before, _ in pairs], len(old))
    new_rest = _gaps([(part.start, part.size) for part in tensors], len(new))
    rest = match_bytes(_join(old, old_rest), _join(new, new_rest))
    parts = [*tensors, *_place_parts(rest, old_rest, new_rest)]
    return sorted(parts, key=lambda part: part.start)


def _control(patch: bytes) -> Iterator[tuple[int, int, int]]:
    """Read the control block of a patch in the form BSDIFF40."""
    size = _number(patch[8:16])
    block = bz2.decompress(patch[32 : 32 + size])
    for place in range(0, len(block), 24):
        yield (
            _number(block[place : place + 8]),
            _number(block[place + 8 : place + 16]),
            _number(block[place + 16 : place + 24]),
        )


def _number(field: bytes) -> int:
    """Read 63 bits of a number and its sign."""
    (value,) = struct.unpack("<Q", field)
    rest = int(value) & (1 << 63) - 1
    return -rest if value >> 63 else rest


def _pairs(
    old_tensors: Sequence[StoredTensor], new_tensors: Sequence[StoredTensor]
) -> list[tuple[StoredTensor, StoredTensor]]:
    """Pair tensors by name, type and shape, and then by type and shape in their order."""
    old_rest, new_rest = _disjoint(old_tensors), _disjoint(new_tensors)
    pairs: list[tuple[StoredTensor, StoredTensor]] = []
    for with_name in (True, False):
        waiting: dict[tuple[object, ...], list[StoredTensor]] = {}
        for tensor in old_rest:
            waiting.setdefault(_key(tensor, with_name), []).append(tensor)
        unpaired = []
        for tensor in new_rest:
            candidates = waiting.get(_key(tensor, with_name))
            if candidates:
                pairs.append((candidates.pop(0), tensor))
            else:
                unpaired.append(tensor)
        old_rest = [tensor for candidates in waiting.values() for tensor in candidates]
        old_rest.sort(key=lambda tensor: tensor.offset)
        new_rest = unpaired
    return pairs


def _key(tensor: StoredTensor, with_name: bool) -> tuple[object, ...]:
    return (tensor.name if with_name else "", tensor.dtype, tensor.shape, tensor.size)


def _disjoint(tensors: Sequence[StoredTensor]) -> list[StoredTensor]:
    """Leave out empty tensors, those that begin inside of another one, and broken numbers."""
    disjoint, end = [], 0
    for tensor in sorted(tensors, key=lambda tensor: tensor.offset):
        is_whole = tensor.size > 0 and tensor.size % _WIDTHS.get(tensor.dtype, 1) == 0
        if is_whole and tensor.offset >= end:
            disjoint.append(tensor)
            end = tensor.offset + tensor.size
    return disjoint


def _gaps(places: Iterable[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    """Return begin and end of what lies between places (begin, size) of a file."""
    gaps, end = [], 0
    for start, length in sorted(places):
        gaps.append((end, start))
        end = start + length
    gaps.append((end, size))
    return [(start, stop) for start, stop in gaps if start < stop]


def _join(content: bytes, places: Iterable[tuple[int, int]]) -> bytes:
    return b"".join(content[start:stop] for start, stop in places)


def _place_parts(
    parts: Sequence[DeltaPart],
    old_rest: Sequence[tuple[int, int]],
    new_rest: Sequence[tuple[int, int]],
) -> list[DeltaPart]:
    """Turn parts of joined pieces into parts of the files; one over a joint is divided."""
    placed = []
    for part in parts:
        for start, shift, size in _spans(part.start, part.size, new_rest):
            if part.source is None:
                placed.append(DeltaPart(start, size, None))
                continue
            for source, inner, length in _spans(part.source + shift, size, old_rest):
                placed.append(replace(part, start=start + inner, size=length, source=source))
    return placed


def _spans(
    start: int, size: int, pieces: Sequence[tuple[int, int]]
) -> Iterable[tuple[int, int, int]]:
    """Yield place in the file, distance from `start` and size of each span of joined pieces."""
    begin = 0
    for first, last in pieces:
        end = begin + last - first
        low, high = max(start, begin), min(start + size, end)
        if low < high:
            yield first + low - begin, low - start, high - low
        begin = end
