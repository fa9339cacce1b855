"""Bounds and errors of a file of NumPy, which nobody has to trust."""

from __future__ import annotations

import os
import tokenize
import zipfile
import zlib
from typing import IO

#: Errors of NumPy on a file that is not a complete .npy or .npz of plain numbers.
ARRAY_DAMAGE = (
    OSError,
    ValueError,
    EOFError,
    AttributeError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
    SyntaxError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


def check_unpacked_size(stream: IO[bytes]) -> None:
    """Refuse an .npz that is larger than this computer's memory once it is unpacked.

    Args:
        stream: The file, at its beginning, where it stands afterwards.

    Raises:
        ValueError: It is larger.
        zipfile.BadZipFile: It is a damaged .npz.
    """
    is_zip = stream.read(2) == b"PK"
    stream.seek(0)
    if not is_zip:
        return
    with zipfile.ZipFile(stream) as archive:
        size_bytes = sum(info.file_size for info in archive.infolist())
    stream.seek(0)
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size_bytes > memory_bytes:
        raise ValueError(
            f"its arrays have {size_bytes} bytes, this computer's memory has {memory_bytes}"
        )
