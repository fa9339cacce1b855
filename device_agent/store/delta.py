"""Decodes files that arrive as the difference to a file that the board has.

`device_agent.contract.delta_format` describes the form. A delta is not trusted: decoding needs
bounded memory, ends after as many bytes as were announced, and the result counts only if its
digest is right.
"""

from __future__ import annotations

import hashlib
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, Optional, Tuple

from device_agent.contract.codes import BAD_REQUEST, DIGEST_MISMATCH, RefusalError
from device_agent.contract.delta_format import (
    LEAST_DICTIONARY_BITS,
    MAGIC,
    MOST_DICTIONARY_BITS,
    MOST_INSTRUCTIONS,
    PATCH,
    SECTIONS,
    TENSOR,
    WIDTHS,
    XZ,
    unzigzag,
)
from device_agent.contract.varint import read_varint

#: Largest memory of one decoder: its dictionary and some more.
MOST_DECODER_BYTES = (1 << MOST_DICTIONARY_BITS) + (1 << 20)

#: Bytes of a section before its LZMA stream.
_SECTION_HEAD_BYTES = 2

#: Number of bytes that are decoded at once; a multiple of every width.
_CHUNK_BYTES = 1 << 16

_HINT = "Send the whole file."


class DeltaError(Exception):
    """A delta is damaged, or does not belong to its base."""


def apply_delta(
    algorithm: str,
    delta: BinaryIO,
    base: Optional[BinaryIO],
    size: int,
    sha256: str,
    write: Callable[[bytes], object],
) -> None:
    """Decode a file.

    Args:
        algorithm: Name of one of `ALGORITHMS`.
        delta: Delta, seekable.
        base: File that the board has, seekable; `None` for an algorithm without a base.
        size: Size of the new file in bytes.
        sha256: Digest of the new file.
        write: Function that takes the new file, piece by piece. What it took counts only when this
            function returns.

    Raises:
        RefusalError: The algorithm is unknown here, or the result is not the announced file.
    """
    decode = ALGORITHMS.get(algorithm)
    if decode is None:
        message = "this agent decodes {}, not {!r}".format(", ".join(ALGORITHMS), algorithm[:40])
        raise RefusalError(BAD_REQUEST, message, _HINT)
    digest, count = hashlib.sha256(), 0
    try:
        for piece in decode(delta, base, size):
            digest.update(piece)
            count += len(piece)
            write(piece)
    except ImportError as error:
        message = "the board's Python has no lzma module"
        raise RefusalError(BAD_REQUEST, message, _HINT) from error
    except DeltaError as error:
        message = "the delta is damaged: {}".format(error)
        raise RefusalError(DIGEST_MISMATCH, message, _HINT) from error
    if count != size or digest.hexdigest() != sha256:
        message = "the delta leads to another file of {} bytes".format(count)
        raise RefusalError(DIGEST_MISMATCH, message, _HINT)


def decode_whole(delta: BinaryIO, _: Optional[BinaryIO], size: int) -> Iterator[bytes]:
    """Decode a file of `size` bytes that does without a base.

    Raises:
        DeltaError: The delta is damaged, or holds another number of bytes.
    """
    import lzma  # not every Python of a board has it

    decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=MOST_DECODER_BYTES)
    section = _Section(delta, 0, delta.seek(0, 2), decoder)
    for count in _pieces(size):
        yield section.read(count)
    section.require_end()


def decode_patch(delta: BinaryIO, base: Optional[BinaryIO], size: int) -> Iterator[bytes]:
    """Follow a list of instructions to a file of `size` bytes.

    Raises:
        DeltaError: The delta is damaged, or asks for what the base does not have.
    """
    if base is None:
        raise DeltaError("it needs a base")
    base_size = base.seek(0, 2)
    sections = _open_sections(delta)
    position = 0
    for number, length, seek in _instructions(sections[0], size):
        width = WIDTHS[number]
        position += seek
        if width and (length % width or not 0 <= position <= base_size - length):
            raise DeltaError("an instruction reads beyond the base")
        for count in _pieces(length):
            piece = sections[number].read(count)
            if width:
                piece = add_numbers(_read(base, position, count), piece, width)
                position += count
            yield piece
    for section in sections:
        section.require_end()


#: Functions from delta, base and size to the pieces of a file, by name of the algorithm.
ALGORITHMS: Dict[str, Callable[[BinaryIO, Optional[BinaryIO], int], Iterator[bytes]]] = {
    XZ: decode_whole,
    PATCH: decode_patch,
    TENSOR: decode_patch,
}


def add_numbers(numbers: bytes, differences: bytes, width: int) -> bytes:
    """Add whole numbers one by one, without a carry from one to the next.

    All are added at once, as the digits of two long integers, without their highest bits, so that
    no sum reaches the next number; the highest bits follow by exclusive or.

    Args:
        numbers: Little-endian numbers.
        differences: Difference to each of the numbers.
        width: Bytes of a number.
    """
    highest = int.from_bytes((b"\0" * (width - 1) + b"\x80") * (len(numbers) // width), "little")
    a, b = int.from_bytes(numbers, "little"), int.from_bytes(differences, "little")
    # What has no highest bit is (x | highest) ^ highest: a mask of the others is not needed.
    total = (((a | highest) ^ highest) + ((b | highest) ^ highest)) ^ ((a ^ b) & highest)
    return total.to_bytes(len(numbers), "little")


class _Section:
    """A compressed part of a delta, decoded as it is read."""

    def __init__(self, delta: BinaryIO, start: int, end: int, decoder: Any) -> None:
        """Take a place in a delta, and its decoder; `None` for an empty section."""
        import lzma  # not every Python of a board has it

        self._delta, self._position, self._end = delta, start, end
        self._damage = (lzma.LZMAError, EOFError)
        self._decoder = decoder
        self._decoded, self._place = b"", 0

    def read(self, count: int) -> bytes:
        """Return exactly `count` bytes.

        Raises:
            DeltaError: There are fewer, or they are damaged.
        """
        while len(self._decoded) - self._place < count:
            piece = self._decode(_CHUNK_BYTES)
            if not piece:
                raise DeltaError("it ends early")
            self._decoded, self._place = self._decoded[self._place :] + piece, 0
        self._place += count
        return self._decoded[self._place - count : self._place]

    def read_varint(self) -> int:
        """Return a number.

        Raises:
            DeltaError: It does not end.
        """
        content = self.read(1)
        while content[-1] > 127 and len(content) < 10:
            content += self.read(1)
        return _varint(content, 0)[0]

    def require_end(self) -> None:
        """Refuse bytes that no instruction uses.

        Raises:
            DeltaError: There are more.
        """
        if self._place < len(self._decoded) or self._decode(1) or self._position < self._end:
            raise DeltaError("it goes on after its end")

    def _decode(self, most: int) -> bytes:
        """Return some bytes, at most so many; none at the end."""
        if self._decoder is None:
            return b""
        while not self._decoder.eof:
            compressed = b""
            if self._decoder.needs_input:
                self._delta.seek(self._position)
                compressed = self._delta.read(min(_CHUNK_BYTES, self._end - self._position))
                self._position += len(compressed)
                if not compressed:
                    raise DeltaError("it is cut off")
            try:
                piece: bytes = self._decoder.decompress(compressed, most)
            except self._damage as error:
                raise DeltaError(str(error)) from error
            if piece:
                return piece
        if self._decoder.unused_data:
            raise DeltaError("it goes on after its end")
        return b""


def _open_sections(delta: BinaryIO) -> List[_Section]:
    end = delta.seek(0, 2)
    delta.seek(0)
    head = delta.read(len(MAGIC) + SECTIONS * 10)
    if head[: len(MAGIC)] != MAGIC:
        raise DeltaError("it is of another kind")
    lengths, place = [], len(MAGIC)
    for _ in range(SECTIONS):
        length, place = _varint(head, place)
        lengths.append(length)
    if place + sum(lengths) != end:
        message = "its sections have {} bytes, expected {}"
        raise DeltaError(message.format(sum(lengths), end - place))
    sections = []
    for length in lengths:
        sections.append(_open_section(delta, place, place + length))
        place += length
    return sections


def _open_section(delta: BinaryIO, start: int, end: int) -> _Section:
    import lzma  # not every Python of a board has it

    if start == end:
        return _Section(delta, start, end, None)
    delta.seek(start)
    head = delta.read(_SECTION_HEAD_BYTES)
    if end - start <= _SECTION_HEAD_BYTES:
        raise DeltaError("a section is cut off")
    pb, model = divmod(head[0], 45)
    lp, lc = divmod(model, 9)
    if pb > 4 or lc + lp > 4 or not LEAST_DICTIONARY_BITS <= head[1] <= MOST_DICTIONARY_BITS:
        raise DeltaError("the head of a section is damaged")
    models = {"lc": lc, "lp": lp, "pb": pb, "dict_size": 1 << head[1]}
    decoder = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[dict(models, id=lzma.FILTER_LZMA1)])
    return _Section(delta, start + _SECTION_HEAD_BYTES, end, decoder)


def _varint(content: bytes, place: int) -> Tuple[int, int]:
    try:
        return read_varint(content, place)
    except ValueError as error:
        raise DeltaError(str(error)) from error


def _instructions(section: _Section, size: int) -> Iterator[Tuple[int, int, int]]:
    """Yield section, length and distance in the base of each part of a file of `size` bytes."""
    for _ in range(MOST_INSTRUCTIONS):
        if not size:
            return
        head = section.read_varint()
        length, number = head >> 2, (head & 3) + 1
        if not 0 < length <= size:
            raise DeltaError("an instruction leads to {} bytes of {}".format(length, size))
        size -= length
        yield number, length, unzigzag(section.read_varint()) if WIDTHS[number] else 0
    if size:
        raise DeltaError("more than {} instructions".format(MOST_INSTRUCTIONS))


def _read(base: BinaryIO, position: int, count: int) -> bytes:
    base.seek(position)
    part = base.read(count)
    if len(part) != count:
        raise DeltaError("the base became shorter")
    return part


def _pieces(length: int) -> Iterator[int]:
    """Divide a length into pieces that memory holds."""
    while length:
        count = min(length, _CHUNK_BYTES)
        yield count
        length -= count
