"""Numbers in as few bytes as they need, as Protocol Buffers write them ("varint").

Source: https://protobuf.dev/programming-guides/encoding
"""

from __future__ import annotations

from typing import Tuple, Union

#: Bits that come before those of the last byte: ten bytes hold 64 bits.
_MOST_BITS = 63


def write_varint(number: int) -> bytes:
    """Write a number from 0 on with 7 bits a byte, the lowest first."""
    content = bytearray()
    while number > 127:
        content.append(number & 127 | 128)
        number >>= 7
    content.append(number)
    return bytes(content)


def read_varint(content: Union[bytes, memoryview], place: int) -> Tuple[int, int]:
    """Read a number from a place on.

    Returns:
        The number, and the place after it.

    Raises:
        ValueError: The content ends in the number, or the number does not end.
    """
    number = shift = 0
    while shift <= _MOST_BITS and place < len(content):
        byte = content[place]
        place += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number, place
        shift += 7
    raise ValueError("a number is cut off or endless")
