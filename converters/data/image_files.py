"""The files of a folder or a tar: listed first, and only the chosen ones read."""

from __future__ import annotations

import lzma
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

#: What Pillow decodes and people have. Other files are passed over.
_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".ppm", ".pgm", ".tif", ".tiff", ".gif"}
#: Compressed images of a tar stay in memory up to this, which spares the second pass.
_KEEP_BYTES = 256 * 2**20

_TAR_DAMAGE = (tarfile.TarError, EOFError, OSError, zlib.error, lzma.LZMAError)


class _WholeTarInfo(tarfile.TarInfo):
    """Insists on the zero blocks at a tar's end, without which Python takes half a tar for all."""

    @classmethod
    def fromtarfile(cls, tarfile: tarfile.TarFile) -> _WholeTarInfo:
        """Read the next member's header."""
        try:
            return super().fromtarfile(tarfile)
        except (TruncatedHeaderError, EmptyHeaderError) as error:
            raise ReadError("it ends without its end mark: it was cut off") from error


@dataclass(frozen=True)
class ImageFiles:
    """What a folder or a tar holds."""

    path: Path
    """The folder or the tar."""
    folders: frozenset[str]
    """Every folder in it, relative, with "/" between the parts."""
    images: frozenset[str]
    """Every image in it, likewise."""
    kept: dict[str, bytes] = field(default_factory=dict, repr=False)
    """Bytes of all images, where they were small enough to keep; else empty."""

    def read(self, wanted: frozenset[str]) -> Iterator[tuple[str, bytes]]:
        """Name and bytes of each wanted image, in the order that is quickest.

        Raises:
            ConversionError: An image is gone or cannot be read any more.
        """
        if self.kept or not wanted:
            yield from ((name, self.kept[name]) for name in sorted(wanted))
        elif self.path.is_dir():
            for name in sorted(wanted):
                yield name, _file_bytes(self.path / name)
        else:
            yield from _tar_bytes(self.path, wanted)


def list_folder(path: Path) -> ImageFiles:
    """Look through a folder, following links to files but not to folders."""
    below = {entry.relative_to(path).as_posix(): entry for entry in path.rglob("*")}
    return ImageFiles(
        path,
        frozenset(name for name, entry in below.items() if entry.is_dir() and not _is_hidden(name)),
        frozenset(name for name, entry in below.items() if entry.is_file() and _is_image(name)),
    )


def list_tar(path: Path) -> ImageFiles:
    """Look through a tar, compressed or not, from its beginning to its end.

    Raises:
        ConversionError: It is damaged or cut off.
    """
    folders: set[str] = set()
    images: set[str] = set()
    kept: dict[str, bytes] = {}
    left = _KEEP_BYTES
    try:
        with tarfile.open(path, "r|*", tarinfo=_WholeTarInfo) as archive:
            for member in archive:
                name = _member_name(member)
                if member.isdir():
                    folders.add(name)
                elif member.isfile() and _is_image(name):
                    folders.add(name.rpartition("/")[0])
                    images.add(name)
                    left -= member.size
                    if left >= 0:
                        kept[name] = _member_bytes(archive, member)
    except _TAR_DAMAGE as error:
        raise _damaged_tar(path, error) from error
    every_folder = {
        above for name in folders if not _is_hidden(name) for above in _with_parents(name)
    }
    return ImageFiles(path, frozenset(every_folder), frozenset(images), kept if left >= 0 else {})


def _member_name(member: tarfile.TarInfo) -> str:
    """Relative, without the "./" that some tars begin each name with."""
    return member.name.removeprefix("./").strip("/")


def _with_parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[: end + 1]) for end in range(len(parts)) if name not in ("", ".")]


def _tar_bytes(path: Path, wanted: frozenset[str]) -> Iterator[tuple[str, bytes]]:
    seen: set[str] = set()
    try:
        with tarfile.open(path, "r|*", tarinfo=_WholeTarInfo) as archive:
            for member in archive:
                name = _member_name(member)
                if member.isfile() and name in wanted and name not in seen:
                    seen.add(name)
                    yield name, _member_bytes(archive, member)
    except _TAR_DAMAGE as error:
        raise _damaged_tar(path, error) from error


def _member_bytes(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    return b"" if stream is None else stream.read()


def _damaged_tar(path: Path, error: BaseException) -> ConversionError:
    return ConversionError(
        f"{path}: is not a complete tar: {error or type(error).__name__}", "copy or pack it again"
    )


def _file_bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConversionError(f"{path}: cannot be read: {error.strerror}", "check it") from error


def _is_image(name: str) -> bool:
    return name[name.rfind(".") :].lower() in _SUFFIXES and not _is_hidden(name)


def _is_hidden(name: str) -> bool:
    """Whether a file browser or an operating system left it: .DS_Store, ._x.jpg, __MACOSX/."""
    return name != "." and ((name + "/").startswith((".", "__MACOSX/")) or "/." in name)
