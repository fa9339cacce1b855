"""Finds the wheels that a board needs: in a local folder, in the cache, or with pip, once.

pip does the download, so the user's index, proxy and certificates are honoured; it gets the
board's platform, never the host's.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from zipfile import is_zipfile

from targets.errors import TargetError
from targets.runtimes.release import Wheel

#: Tags under which wheels of the runtimes were published. They only find the wheel: whether one
#: truly loads is decided in `targets/runtimes/fit.py`.
_TAGS = ("manylinux2014", "manylinux_2_17", "manylinux_2_27", "manylinux_2_28", "manylinux_2_34")

DOWNLOAD_TIMEOUT_S = 900
_DOWNLOADING = ".download-"

OnWheel = Callable[[str], None]
"""Called with the name of a wheel before it is downloaded."""


class WheelError(TargetError):
    """A wheel that the board needs cannot be had."""


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
    wheels: Sequence[Wheel], wheelhouse: Path | None, on_download: OnWheel
) -> list[Path]:
    """Find the files of all `wheels`.

    Args:
        wheels: Wheels that the board needs.
        wheelhouse: Folder of wheels; with one, nothing is downloaded.
        on_download: Called before a download, which may take a while.

    Raises:
        WheelError: A wheel is not in the folder, or pip cannot download it; the message names the
            wheel and the place, the hint says how to get it.
    """
    if wheelhouse is not None and not os.path.isdir(wheelhouse):  # noqa: PTH112 - never raises
        raise WheelError(f"the wheelhouse {wheelhouse} is not a folder", "Name a folder of wheels.")
    if wheelhouse is None:
        return [_find(wheel, wheels, on_download) for wheel in wheels]
    paths_by_wheel = {wheel: _in_folder(wheel, wheelhouse) for wheel in wheels}
    missing = [wheel for wheel, path in paths_by_wheel.items() if path is None]
    if missing:
        names = " and no wheel ".join(map(_name, missing))
        raise WheelError(f"{wheelhouse} has no wheel {names}", _elsewhere(missing))
    return [path for path in paths_by_wheel.values() if path is not None]


def find_local_wheel(wheel: Wheel, wheelhouse: Path | None) -> Path | None:
    """Find a wheel without downloading it: in the wheelhouse when one is given, else in the cache.

    Raises:
        WheelError: The file of the wheel is damaged; the user removes it.
    """
    folder = wheelhouse or cache_folder()
    return _in_folder(wheel, folder) if folder.is_dir() else None


def tree_digest(paths: Sequence[Path]) -> str:
    """Return the name of the runtime that these wheels make when they are unzipped together."""
    digests = sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _find(wheel: Wheel, all_wheels: Sequence[Wheel], on_download: OnWheel) -> Path:
    folder = cache_folder()
    path = _in_folder(wheel, folder)
    if path is not None:
        return path
    name = _name(wheel)
    on_download(name)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(folder)
        # pip writes in place: only what is whole may come under its name into the cache.
        with TemporaryDirectory(prefix=_DOWNLOADING, dir=folder) as temporary:
            _download(wheel, Path(temporary), all_wheels)
            for file in Path(temporary).glob("*.whl"):
                file.replace(folder / file.name)
    except OSError as error:
        raise WheelError(
            f"cannot keep wheels in {folder}: {error.strerror or error}",
            "Free some space, or name another folder in KEDGE_CACHE_DIR.",
        ) from error
    path = _in_folder(wheel, folder)
    if path is None:
        raise WheelError(f"pip downloaded no file that is {name}")
    return path


def _remove_abandoned(cache: Path) -> None:
    """Remove what a kedge that was killed in mid-download left there."""
    for folder in cache.glob(_DOWNLOADING + "*"):
        if time.time() - folder.stat().st_mtime > DOWNLOAD_TIMEOUT_S:
            shutil.rmtree(folder, ignore_errors=True)


def _in_folder(wheel: Wheel, folder: Path) -> Path | None:
    for path in sorted(folder.glob("*.whl")):
        if matches(path.name, wheel):
            if is_zipfile(path):
                return path
            raise WheelError(
                f"{path} is damaged: it is not a complete wheel", "Remove it and try again."
            )
    return None


def matches(file_name: str, wheel: Wheel) -> bool:
    """Tell whether a file is this wheel, by the name that the wheel format prescribes."""
    parts = file_name[: -len(".whl")].split("-")
    if len(parts) not in (5, 6):
        return False
    name, version, (python, abi, platform) = parts[0], parts[1], parts[-3:]
    return (
        name.lower().replace("_", "-") == wheel.distribution
        and version == wheel.version
        and f"cp{wheel.python}" in python.split(".")
        and abi in (f"cp{wheel.python}", f"cp{wheel.python}m", "abi3")
        and any(_is_for(wheel.machine, tag) for tag in platform.split("."))
    )


def _is_for(machine: str, tag: str) -> bool:
    """Tell whether a platform tag is this architecture's on a glibc Linux, not musl's or macOS'."""
    return tag.startswith(("manylinux", "linux_")) and tag.endswith("_" + machine)


def _name(wheel: Wheel) -> str:
    return f"{wheel.distribution}-{wheel.version} for Python {_dotted(wheel)} on {wheel.machine}"


def _elsewhere(wheels: Sequence[Wheel]) -> str:
    """Write the one command that fetches all of them where there is a network."""
    command = ["pip download --no-deps -d WHEELHOUSE", *_selection(wheels)]
    return (
        f"On a computer with network: {' '.join(command)}\n"
        "    and name that folder here with --wheelhouse."
    )


def _selection(wheels: Sequence[Wheel]) -> list[str]:
    """Tell pip the board's platform; all wheels of a board share Python and architecture."""
    board = wheels[0]
    arguments = ["--only-binary=:all:", "--implementation", "cp", "--python-version", board.python]
    for tag in _TAGS:
        arguments += ["--platform", f"{tag}_{board.machine}"]
    return [*arguments, *(f"{wheel.distribution}=={wheel.version}" for wheel in wheels)]


def _download(wheel: Wheel, folder: Path, all_wheels: Sequence[Wheel]) -> None:
    name = _name(wheel)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            + ["--dest", str(folder), *_selection([wheel])],
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise WheelError(f"the download of {name} took too long", "Try again.") from error
    if result.returncode != 0:
        errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR")]
        raise WheelError(
            f"pip cannot download {name}: {' '.join(errors) or result.stderr.strip()[-300:]}",
            _elsewhere(all_wheels),
        )


def _dotted(wheel: Wheel) -> str:
    return f"{wheel.python[0]}.{wheel.python[1:]}"
