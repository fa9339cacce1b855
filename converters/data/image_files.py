"""The files of a folder or a tar: all are listed first, then only the selected ones are read."""

from __future__ import annotations

import lzma
import struct
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

# Public by their names, but not in the type stubs.
from tarfile import (  # type: ignore[attr-defined]
    EmptyHeaderError,
    ReadError,
    TruncatedHeaderError,
)

from converters.errors import ConversionError

#: Errors of Pillow's readers on a damaged picture.
PICTURE_DAMAGE = (
    OSError,
    ValueError,
    TypeError,
    SyntaxError,
    EOFError,
    LookupError,
    ArithmeticError,
    AttributeError,
    NotImplementedError,
    MemoryError,
    struct.error,
    zlib.error,
)
#: Formats that are decoded; others start programs of their own, such as Ghostscript.
PICTURE_FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "PPM", "TIFF", "GIF")

#: Suffixes of images that Pillow decodes and that are common. Other files are ignored.
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".gif"}
#: Largest size of a tar's compressed images that stay in memory, which saves the second pass.
_KEEP_BYTES = 256 * 2**20

_TAR_DAMAGE = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError)


class _WholeTarInfo(tarfile.TarInfo):
    """Member of a tar that must end with zero blocks; Python alone accepts a tar that was cut."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> _WholeTarInfo:
        """Read the next member's header."""
        try:
            return super().fromtarfile(tarfile)
        except (TruncatedHeaderError, EmptyHeaderError) as error:
            raise ReadError("it ends without its end mark: it was cut off") from error


@dataclass(frozen=True)
class ImageFiles:
    """Folders and images in a folder or a tar."""

    path: Path
    """The folder or the tar."""
    folders: frozenset[str]
    """Every folder in `path`, relative, with "/" between the parts."""
    images: frozenset[str]
    """Every image in `path`, relative, with "/" between the parts."""
    contents: dict[str, bytes] = field(default_factory=dict, repr=False)
    """Name to the bytes of each image, where all fit into memory; else empty."""

    def read(self, names: frozenset[str]) -> Iterator[tuple[str, bytes]]:
        """Yield the name and the bytes of each of these images, in the fastest order.

        Raises:
            ConversionError: An image no longer exists or cannot be read.
        """
        if self.contents or not names:
            yield from ((name, self.contents[name]) for name in sorted(names))
        elif self.path.is_dir():
            for name in sorted(names):
                yield name, _file_bytes(self.path / name)
        else:
            yield from _tar_bytes(self.path, names)


def list_folder(path: Path) -> ImageFiles:
    """List a folder; links to files are followed, links to folders are not."""
    below = {entry.relative_to(path).as_posix(): entry for entry in path.rglob("*")}
    return ImageFiles(
        path,
        frozenset(name for name, entry in below.items() if entry.is_dir() and not _is_hidden(name)),
        frozenset(name for name, entry in below.items() if entry.is_file() and _is_image(name)),
    )


def list_tar(path: Path) -> ImageFiles:
    """List a tar, compressed or not, from its beginning to its end.

    Raises:
        ConversionError: The tar is damaged or cut off.
    """
    folders: set[str] = set()
    images: set[str] = set()
    contents: dict[str, bytes] = {}
    bytes_free = _KEEP_BYTES
    try:
        with tarfile.open(path, "r|*", tarinfo=_WholeTarInfo) as archive:
            for member in archive:
                name = _member_name(member)
                if member.isdir():
                    folders.add(name)
                elif member.isfile() and _is_image(name):
                    folders.add(name.rpartition("/")[0])
                    images.add(name)
                    bytes_free -= member.size
                    if bytes_free >= 0:
                        contents[name] = _member_bytes(archive, member)
    except _TAR_DAMAGE as error:
        raise _damaged_tar(path, error) from error
    every_folder = {
        above for name in folders if not _is_hidden(name) for above in _with_parents(name)
    }
    return ImageFiles(
        path, frozenset(every_folder), frozenset(images), contents if bytes_free >= 0 else {}
    )


def _member_name(member: tarfile.TarInfo) -> str:
    """Relative name, without the "./" at its beginning that some tars have."""
    return member.name.removeprefix("./").strip("/")


def _with_parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[: end + 1]) for end in range(len(parts)) if name not in ("", ".")]


def _tar_bytes(path: Path, names: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    names_done: set[str] = set()
    try:
        with tarfile.open(path, "r|*", tarinfo=_WholeTarInfo) as archive:
            for member in archive:
                name = _member_name(member)
                if member.isfile() and name in names and name not in names_done:
                    names_done.add(name)
                    yield name, _member_bytes(archive, member)
    except _TAR_DAMAGE as error:
        raise _damaged_tar(path, error) from error


def _member_bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    return b"" if stream is None else stream.read()


def _damaged_tar(path: Path, error: BaseException) -> ConversionError:
    return ConversionError(
        f"{path}: is not a complete tar: {error or type(error).__name__}", "Copy or pack it again."
    )


def _file_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read: {error.strerror}", "Check it.") from error


def _is_image(name: str) -> bool:
    return name[name.rfind(".") :].lower() in _SUFFIXES and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    """Whether a file browser or operating system made the file: .DS_Store, ._x.jpg, __MACOSX/."""
    return name != "." and ((name + "/").startswith((".", "__MACOSX/")) or "/." in name)
