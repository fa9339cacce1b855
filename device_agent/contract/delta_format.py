"""The form of a file that travels as the difference to another one.

`xz` is the whole file as .xz, without a base. `patch-xz` and `tensor-xz` are lists of instructions:
each copies new bytes, or adds differences to a part of the base. The two differ only in how the
host finds the parts that belong together.

A list of instructions is: `MAGIC`; the length of each section as a varint; the sections. Section 0
holds the instructions, section 1 new bytes, the others differences of whole numbers of the widths
in `WIDTHS`. A section is nothing where it is empty. Else it is a byte lc + 9 * (lp + 5 * pb), a
byte with the binary logarithm of the dictionary's size, and a raw LZMA stream with an end marker.

An instruction is a varint, length * 4 + section - 1. For differences a zigzag varint follows: the
distance in the base from the end of the part before to the begin of this part. Differences are
added to little-endian whole numbers, modulo 2 to the power of their bits.
"""

from __future__ import annotations

XZ, PATCH, TENSOR = "xz", "patch-xz", "tensor-xz"

MAGIC = b"KDL1"
SECTIONS = 5

#: Width in bytes of a whole number by section; of the first two sections nothing is added.
WIDTHS = (0, 0, 1, 2, 4)

#: Binary logarithm of the size of a dictionary; the largest, 8 MiB, bounds a decoder's memory.
LEAST_DICTIONARY_BITS, MOST_DICTIONARY_BITS = 12, 23

#: Largest number of instructions, which bounds the time of a decoder.
MOST_INSTRUCTIONS = 1_000_000


def zigzag(number: int) -> int:
    """Return a number from 0 on that stands for a positive or negative one."""
    return number * 2 if number >= 0 else -number * 2 - 1


def unzigzag(number: int) -> int:
    """Return the number that `zigzag` wrote."""
    return number >> 1 if number % 2 == 0 else -(number >> 1) - 1
