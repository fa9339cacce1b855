"""Finds the wheels that a board needs: in a local folder, in the cache, or with pip, once.

A wheel runs on the board: only the bytes that were published are taken, by their SHA-256, or those
of another build that the user names.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import BadZipFile, is_zipfile

from targets.runtimes.digests import published_digests
from targets.runtimes.download import DOWNLOAD_TIMEOUT_S, WheelError, download, elsewhere, name_of
from targets.runtimes.release import Wheel
from targets.runtimes.wheel_name import is_wheel

_DOWNLOADING = ".download-"

OnWheel = Callable[[str], None]
"""Called with the name of a wheel before it is downloaded."""


class OtherWheelError(WheelError):
    """A file has the name of a wheel, but not the bytes that were published."""

    exit_code = 5


@dataclass(frozen=True)
class WheelFile:
    """File of a wheel whose bytes were checked."""

    path: Path
    sha256: str
    """Digest of the bytes that were read."""


def cache_folder() -> Path:
    """Return where downloaded wheels are kept.

    Raises:
        WheelError: No variable names a folder, and the user has no home; the user names one.
    """
    if own := os.environ.get("KEDGE_CACHE_DIR"):
        return Path(own) / "wheels"
    if caches := os.environ.get("XDG_CACHE_HOME"):
        return Path(caches) / "kedge" / "wheels"
    try:
        return Path.home() / ".cache" / "kedge" / "wheels"
    except RuntimeError as error:
        raise WheelError(
            f"there is no folder for wheels: HOME is not set, and the user id {os.getuid()} has no "
            "home on this computer",
            "Name a folder in KEDGE_CACHE_DIR, or set HOME.",
        ) from error


def find_wheels(
    wheels: Sequence[Wheel],
    wheelhouse: Path | None,
    on_download: OnWheel,
    other_builds: Collection[str] = (),
) -> list[WheelFile]:
    """Find the files of all `wheels`.

    Args:
        wheels: Wheels that the board needs.
        wheelhouse: Folder of wheels; with one, nothing is downloaded.
        on_download: Called before a download, which may take a while.
        other_builds: SHA-256 of files that are taken too, though nobody published them.

    Raises:
        WheelError: A wheel is not in the folder, or pip cannot download it; the message names the
            wheel and the place, the hint says how to get it.
        OtherWheelError: A file is damaged, or is another build; the hint says how to allow it.
    """
    if wheelhouse is not None and not os.path.isdir(wheelhouse):  # noqa: PTH112 - never raises
        raise WheelError(f"the wheelhouse {wheelhouse} is not a folder", "Name a folder of wheels.")
    if wheelhouse is None:
        return [_find(wheel, wheels, on_download, other_builds) for wheel in wheels]
    by_wheel = {wheel: _in_folder(wheel, wheelhouse, other_builds) for wheel in wheels}
    missing = [wheel for wheel, file in by_wheel.items() if file is None]
    if missing:
        names = " and no wheel ".join(map(name_of, missing))
        raise WheelError(f"{wheelhouse} has no wheel {names}", elsewhere(missing))
    return [file for file in by_wheel.values() if file is not None]


def find_local_wheel(
    wheel: Wheel, wheelhouse: Path | None, other_builds: Collection[str] = ()
) -> WheelFile | None:
    """Find a wheel without downloading it: in the wheelhouse when one is given, else in the cache.

    Raises:
        OtherWheelError: The file of the wheel is damaged, or is another build.
    """
    folder = wheelhouse or cache_folder()
    return _in_folder(wheel, folder, other_builds) if folder.is_dir() else None


def tree_digest(files: Sequence[WheelFile]) -> str:
    """Return the name of the runtime that these wheels make when they are unzipped together."""
    digests = sorted(file.sha256 for file in files)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _find(
    wheel: Wheel,
    all_wheels: Sequence[Wheel],
    on_download: OnWheel,
    other_builds: Collection[str],
) -> WheelFile:
    folder = cache_folder()
    present = _in_folder(wheel, folder, other_builds)
    if present is not None:
        return present
    name = name_of(wheel)
    on_download(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        # pip writes in place: only what is whole may come under its name into the cache.
        with TemporaryDirectory(prefix=_DOWNLOADING, dir=folder) as temporary:
            download(wheel, Path(temporary), all_wheels)
            file = _in_folder(wheel, Path(temporary), other_builds)
            if file is None:
                raise WheelError(
                    f"pip downloaded no file that is {name}",
                    "See where it looks: pip config list",
                )
            path = file.path.replace(folder / file.path.name)
            return WheelFile(path, file.sha256)
    except OSError as error:
        raise WheelError(
            f"cannot keep wheels in {folder}: {error.strerror or error}",
            "Free some space, or name another folder in KEDGE_CACHE_DIR.",
        ) from error


def _remove_abandoned(cache: Path) -> None:
    """Remove what a kedge that was killed in mid-download left there."""
    for folder in cache.glob(_DOWNLOADING + "*"):
        if time.time() - folder.stat().st_mtime > DOWNLOAD_TIMEOUT_S:
            shutil.rmtree(folder, ignore_errors=True)


def _in_folder(wheel: Wheel, folder: Path, other_builds: Collection[str]) -> WheelFile | None:
    """Return the first file that may be taken.

    Raises:
        OtherWheelError: There are files of the wheel's name, but none of them may be taken.
    """
    accepted = published_digests(wheel) | frozenset(other_builds)
    refused: list[WheelFile] = []
    for path in sorted(folder.glob("*.whl")):
        if is_wheel(path.name, wheel) and path.is_file():
            file = WheelFile(path, _digest_of(path))
            if file.sha256 in accepted:
                return file
            refused.append(file)
    if refused:
        raise _refusal(wheel, refused[0])
    return None


def _digest_of(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            for chunk in iter(lambda: file.read(1 << 20), b""):
                digest.update(chunk)
    except OSError as error:
        raise WheelError(
            f"cannot read {path}: {error.strerror or error}", "Make it readable for you."
        ) from error
    return digest.hexdigest()


def _is_whole_zip(path: Path) -> bool:
    try:
        return is_zipfile(path)
    except BadZipFile:  # one that says that its other parts are on other disks
        return False


def _refusal(wheel: Wheel, file: WheelFile) -> OtherWheelError:
    path, downloaded = file.path, file.path.parent.name.startswith(_DOWNLOADING)
    what = f"{path.name}, which pip downloaded," if downloaded else str(path)
    again = "See where pip looks (pip config list)" if downloaded else "Remove it and try again"
    if not _is_whole_zip(path):
        return OtherWheelError(f"{what} is damaged: it is not a complete wheel", f"{again}.")
    expected = " or ".join(sorted(published_digests(wheel))) or "none"
    return OtherWheelError(
        f"{what} is not the published {name_of(wheel)}: its SHA-256 is {file.sha256}, expected "
        f"{expected}",
        f"{again}. To bring this build to the board all the same, write "
        f'wheels = ["{file.sha256}"] for its target in kedge.toml.',
    )
