"""Names what is odd in a ZIP file that is no bundle, as far as its directory tells."""

from __future__ import annotations

import stat
import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

#: Bytes at the end of a ZIP file without a comment, and where they say the directory's size.
_END_BYTES, _SIZE_AT = 22, 12

#: Largest directory that is read to describe it.
_MOST_DIRECTORY_BYTES = 1 << 20


def describe_oddity(path: Path) -> str:
    """Return what is odd in a file that a bundle's reader refuses.

    Args:
        path: File that exists.

    Returns:
        Words such as "it has a link: 'x'"; empty where the directory shows nothing.
    """
    try:
        with path.open("rb") as file:
            if file.read(2) != b"PK":
                return "it is no bundle of kedge"
            file.seek(-_END_BYTES, 2)
            size = struct.unpack_from("<I", file.read(), _SIZE_AT)[0]
        if size > _MOST_DIRECTORY_BYTES:
            return ""
        with zipfile.ZipFile(path) as archive:
            return _describe(archive.infolist())
    except (OSError, ValueError, struct.error, zipfile.BadZipFile, NotImplementedError):
        return ""


def _describe(infos: Sequence[zipfile.ZipInfo]) -> str:
    names = set()
    for info in infos:
        name = info.filename[:80]
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            return f"it has a link or something else that is no file: {name!r}"
        if name.startswith("/") or ".." in name.split("/"):
            return f"it has a file whose name leads out of it: {name!r}"
        if info.filename in names:
            return f"it has two files of the name {name!r}"
        if info.flag_bits & 1:
            return f"it has an encrypted file: {name!r}"
        if info.compress_type != zipfile.ZIP_STORED:
            return f"it has a compressed file, and a bundle has none: {name!r}"
        if name != "manifest.json" and not name.startswith(("signatures/", "blobs/")):
            return f"it has a file that no bundle has: {name!r}"
        names.add(info.filename)
    return ""
