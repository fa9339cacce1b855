"""The layout of a bundle as a ZIP file: stored, without comments, every byte decided by its files.

A reader computes the headers and compares them, so that no byte of a file can differ unseen. Pure.
Source: APPNOTE.TXT - .ZIP File Format Specification, 6.3.10.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

_LOCAL = struct.Struct("<IHHHHHIIIHH")
_CENTRAL = struct.Struct("<IHHHHHHIIIHHHHHII")
_END_64 = struct.Struct("<IQHHIIQQQQ")
_LOCATOR_64 = struct.Struct("<IIQI")
_END = struct.Struct("<IHHHHIIH")

_LOCAL_SIGN, _CENTRAL_SIGN, _END_SIGN = 0x04034B50, 0x02014B50, 0x06054B50
_END_64_SIGN, _LOCATOR_64_SIGN = 0x06064B50, 0x07064B50

#: Size or offset from which a field of 32 bits says that the extra field has the value.
_WIDE = 0xFFFFFFFF
_VERSION, _WIDE_VERSION = 20, 45
#: 1980-01-01, the first day that the format has.
_DATE = 0x0021
#: Number of the system in whose form the rights are written: Unix.
_UNIX = 3
#: Rights and kind of each file: a regular file that everybody may read.
_RIGHTS = 0o100444 << 16

#: Longest name of a file in a bundle: `blobs/` and a SHA-256.
MOST_NAME_BYTES = 70

#: Longest header in front of a file.
MOST_HEADER_BYTES = _LOCAL.size + MOST_NAME_BYTES + 20


@dataclass(frozen=True)
class ZipEntry:
    """One file of a bundle."""

    name: str
    """Name in the ZIP file."""
    size: int
    """Size in bytes."""
    crc: int
    """CRC-32 of its bytes."""
    offset: int
    """Offset of its header."""

    @property
    def content_offset(self) -> int:
        """Offset of its first byte."""
        return self.offset + len(entry_header(self))

    @property
    def end(self) -> int:
        """Offset behind its last byte."""
        return self.content_offset + self.size


class LayoutError(ValueError):
    """A header is not the one that a bundle has."""


def entry_header(entry: ZipEntry) -> bytes:
    """Return the header in front of a file."""
    name = entry.name.encode("ascii")
    wide = entry.size >= _WIDE
    extra = struct.pack("<HHQQ", 1, 16, entry.size, entry.size) if wide else b""
    size = _WIDE if wide else entry.size
    header = _LOCAL.pack(
        _LOCAL_SIGN,
        _WIDE_VERSION if wide else _VERSION,
        0,
        0,
        0,
        _DATE,
        entry.crc,
        size,
        size,
        len(name),
        len(extra),
    )
    return header + name + extra


def parse_header(header: bytes, offset: int) -> ZipEntry:
    """Read the header in front of a file.

    Args:
        header: Bytes from the offset on, at most `MOST_HEADER_BYTES`; what follows is passed over.
        offset: Offset of the header.

    Raises:
        LayoutError: It is cut off, or not the header that `entry_header` writes.
    """
    if len(header) < _LOCAL.size:
        raise LayoutError("it is cut off")
    fields = _LOCAL.unpack_from(header)
    size, crc, name_bytes = fields[8], fields[6], fields[9]
    if fields[0] != _LOCAL_SIGN or name_bytes > MOST_NAME_BYTES:
        raise LayoutError("where a file of the bundle must begin, there is something else")
    name = header[_LOCAL.size : _LOCAL.size + name_bytes].decode("ascii", "replace")
    if size == _WIDE:
        wide = header[_LOCAL.size + name_bytes :][:20]
        size = struct.unpack("<HHQQ", wide)[2] if len(wide) == 20 else 0
    if not name.isascii():
        raise LayoutError("a file has a name that is not ASCII")
    entry = ZipEntry(name, size, crc, offset)
    if not header.startswith(entry_header(entry)):
        raise LayoutError(f"the header of {name!r} is not as kedge writes it")
    return entry


def zip_directory(entries: Sequence[ZipEntry]) -> bytes:
    """Return what follows the last file: the directory and its end."""
    start = entries[-1].end if entries else 0
    directory = b"".join(map(_directory_entry, entries))
    count, size = len(entries), len(directory)
    end = b""
    if start >= _WIDE:
        end = _END_64.pack(
            _END_64_SIGN,
            _END_64.size - 12,
            _UNIX << 8 | _WIDE_VERSION,
            _WIDE_VERSION,
            0,
            0,
            count,
            count,
            size,
            start,
        ) + _LOCATOR_64.pack(_LOCATOR_64_SIGN, 0, start + size, 1)
    last = _END.pack(_END_SIGN, 0, 0, count, count, size, min(start, _WIDE), 0)
    return directory + end + last


def _directory_entry(entry: ZipEntry) -> bytes:
    name = entry.name.encode("ascii")
    values = [entry.size, entry.size] if entry.size >= _WIDE else []
    values += [entry.offset] if entry.offset >= _WIDE else []
    extra = struct.pack(f"<HH{len(values)}Q", 1, 8 * len(values), *values) if values else b""
    version = _WIDE_VERSION if values else _VERSION
    header = _CENTRAL.pack(
        _CENTRAL_SIGN,
        _UNIX << 8 | version,
        version,
        0,
        0,
        0,
        _DATE,
        entry.crc,
        min(entry.size, _WIDE),
        min(entry.size, _WIDE),
        len(name),
        len(extra),
        0,
        0,
        0,
        _RIGHTS,
        min(entry.offset, _WIDE),
    )
    return header + name + extra
