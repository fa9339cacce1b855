"""Reader of protobuf's wire format: the fields of a message, without its schema.

Neither TensorFlow nor protobuf is loaded, so the process that looks at a file may do it. A field
that occurs several times is returned each time, so a check of every occurrence covers whichever
of them a parser keeps.
"""

from __future__ import annotations

from collections.abc import Iterator

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_WIDTHS = {_FIXED64: 8, _FIXED32: 4}


class WireFormatError(ValueError):
    """The bytes are no protobuf message: the file is damaged."""


def message_fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Number and value of each field of a message: an int, or bytes, also of messages within.

    Raises:
        WireFormatError: The message is cut off, or has groups, which TensorFlow does not write.
    """
    place = 0
    while place < len(message):
        key, place = _varint(message, place)
        number, kind = key >> 3, key & 7
        # Some parsers drop the upper bits, and would see another field.
        if not 0 < number < 2**29:
            raise WireFormatError(f"field number {number}")
        if kind == _VARINT:
            value, place = _varint(message, place)
            yield number, value
            continue
        if kind == _BYTES:
            width, place = _varint(message, place)
        elif kind in _WIDTHS:
            width = _WIDTHS[kind]
        else:
            raise WireFormatError(f"wire type {kind}")
        if place + width > len(message):
            raise WireFormatError("cut off")
        yield number, message[place : place + width]
        place += width


def submessages(message: memoryview, number: int) -> Iterator[memoryview]:
    """Bytes of each field of one number; fields of that number without bytes are left out.

    Raises:
        WireFormatError: The message is damaged.
    """
    for field, value in message_fields(message):
        if field == number and isinstance(value, memoryview):
            yield value


def texts(message: memoryview, number: int) -> list[str]:
    """Texts of one field, each occurrence.

    Raises:
        WireFormatError: The message is damaged.
    """
    return [bytes(raw).decode("utf-8", "replace") for raw in submessages(message, number)]


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if place >= len(message) or shift > 63:
            raise WireFormatError("cut off")
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
