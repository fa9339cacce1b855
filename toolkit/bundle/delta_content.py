"""The bytes of deltas, in the form of `device_agent.contract.delta_format`. Pure."""

from __future__ import annotations

import lzma
from collections.abc import Iterable, Sequence

import numpy as np

from device_agent.contract.delta_format import (
    LEAST_DICTIONARY_BITS,
    MAGIC,
    MOST_DICTIONARY_BITS,
    MOST_INSTRUCTIONS,
    SECTIONS,
    WIDTHS,
    zigzag,
)
from device_agent.contract.varint import write_varint
from toolkit.bundle.delta_parts import DeltaPart

#: Numbers of literal context bits, literal position bits and position bits that are tried: for
#: text and code, for noise of single bytes, and for numbers of 4 bytes.
_MODELS = ((3, 0, 2), (3, 0, 0), (0, 0, 0), (0, 2, 2), (2, 2, 2))

#: Larger streams are compressed by the first of them only: a second for 2 MB each.
_MOST_TRIED_BYTES = 8 << 20


def encode_whole(content: bytes) -> bytes:
    """Return a file as .xz."""
    return min((_whole(content, model) for model in _models(content)), key=len)


def encode_parts(old: bytes, new: bytes, parts: Sequence[DeltaPart]) -> bytes | None:
    """Return a list of instructions that makes a new file from an old one.

    Args:
        old: Content of the old file.
        new: Content of the new file.
        parts: Parts of the new file, in its order and without gaps.

    Returns:
        Content of the delta; `None` where it has more instructions than a board follows.
    """
    if len(parts) > MOST_INSTRUCTIONS:
        return None
    sections = [bytearray() for _ in range(SECTIONS)]
    position = 0
    for part in parts:
        fresh = new[part.start : part.start + part.size]
        if part.source is None:
            sections[0] += write_varint(part.size << 2)
            sections[1] += fresh
            continue
        number = WIDTHS.index(part.width, 2)
        sections[0] += write_varint(part.size << 2 | number - 1)
        sections[0] += write_varint(zigzag(part.source - position))
        position = part.source + part.size
        sections[number] += _difference(old[part.source : position], fresh, part.width)
    streams = [_stream(bytes(section)) for section in sections]
    return b"".join([MAGIC, *(write_varint(len(stream)) for stream in streams), *streams])


def _difference(old: bytes, new: bytes, width: int) -> bytes:
    kind = f"<u{width}"
    difference: bytes = (np.frombuffer(new, kind) - np.frombuffer(old, kind)).tobytes()
    return difference


def _stream(content: bytes) -> bytes:
    if not content:
        return b""
    return min((_raw(content, model) for model in _models(content)), key=len)


def _models(content: bytes) -> Iterable[tuple[int, int, int]]:
    return _MODELS if len(content) <= _MOST_TRIED_BYTES else _MODELS[:1]


def _raw(content: bytes, model: tuple[int, int, int]) -> bytes:
    """Return a stream of LZMA without a container, after two bytes that say how to read it."""
    bits = _dictionary_bits(len(content))
    lc, lp, pb = model
    filters = [_filter(lzma.FILTER_LZMA1, bits, model)]
    head = bytes([lc + 9 * (lp + 5 * pb), bits])
    return head + lzma.compress(content, lzma.FORMAT_RAW, filters=filters)


def _whole(content: bytes, model: tuple[int, int, int]) -> bytes:
    filters = [_filter(lzma.FILTER_LZMA2, _dictionary_bits(len(content)), model)]
    return lzma.compress(content, lzma.FORMAT_XZ, lzma.CHECK_CRC32, filters=filters)


def _dictionary_bits(size: int) -> int:
    return max(LEAST_DICTIONARY_BITS, min(MOST_DICTIONARY_BITS, (size - 1).bit_length()))


def _filter(name: int, bits: int, model: tuple[int, int, int]) -> dict[str, int]:
    lc, lp, pb = model
    preset = 9 | lzma.PRESET_EXTREME
    return {"id": name, "preset": preset, "dict_size": 1 << bits, "lc": lc, "lp": lp, "pb": pb}
