"""Bounds and errors of a file of NumPy, which nobody has to trust."""

from __future__ import annotations

import os
import tokenize
import zipfile
import zlib
from typing import IO, Any

import numpy as np
import numpy.typing as npt

#: Errors of NumPy on a file that is not a complete .npy or .npz of plain numbers.
ARRAY_DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    AttributeError,
    NotImplementedError,
    OverflowError,
    RuntimeError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)

#: Version of .npy to the reader of its header: shape, order and dtype.
_READ_HEADER: dict[tuple[int, ...], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
    # Differs in the encoding of field names only.
    (3, 0): np.lib.format.read_array_header_2_0,
}


def check_array_sizes(stream: IO[bytes], most_bytes: int | None = None) -> None:
    """Refuse a .npy or .npz whose arrays are larger than its content, or than allowed.

    Args:
        stream: The file, at its beginning, where it stands afterwards.
        most_bytes: Most bytes of all arrays of an .npz; None for the memory of this computer.

    Raises:
        ValueError: An array is larger.
        zipfile.BadZipFile: It is a damaged .npz; any other of `ARRAY_DAMAGE` likewise.
    """
    is_zip = stream.read(2) == b"PK"
    size_bytes = stream.seek(0, os.SEEK_END)
    stream.seek(0)
    if is_zip:
        with zipfile.ZipFile(stream) as archive:
            _check_total(archive, most_bytes)
            for info in archive.infolist():
                with archive.open(info) as member:
                    _check_header(f"{info.filename}: ", member, info.file_size)
    else:
        _check_header("", stream, size_bytes)
    stream.seek(0)


def array_of(file: Any, name: str) -> npt.NDArray[Any]:
    """Return an array of an open .npz, of any shape and dtype but objects.

    Args:
        file: An .npz opened by `np.load` with `allow_pickle=False`.
        name: Name of the array.

    Raises:
        ValueError: The member is no array, or it holds objects.
    """
    array = file[name]
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name} is no array of NumPy")
    return array


def _check_total(archive: zipfile.ZipFile, most_bytes: int | None) -> None:
    total = sum(info.file_size for info in archive.infolist())
    most = most_bytes or os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if total > most:
        where = "its file can hold" if most_bytes else "this computer's memory has"
        raise ValueError(f"its arrays have {total} bytes, {where} {most}")


def _check_header(name: str, stream: IO[bytes], size_bytes: int) -> None:
    head = stream.read(len(np.lib.format.MAGIC_PREFIX))
    if head != np.lib.format.MAGIC_PREFIX:
        return
    version = tuple(stream.read(2))
    if version not in _READ_HEADER:
        raise ValueError(f"{name}has the version {version} of .npy, expected 1.0 to 3.0")
    shape, _, dtype = _READ_HEADER[version](stream)
    array_bytes = dtype.itemsize
    for axis in shape:
        array_bytes *= axis
    rest = size_bytes - stream.tell()
    if min(shape, default=0) < 0 or (array_bytes > rest and not dtype.hasobject):
        raise ValueError(
            f"{name}its header says shape {shape} of {dtype}, {array_bytes} bytes; {rest} follow"
        )
