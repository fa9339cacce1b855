"""Downloads a wheel with pip, so that the user's index, proxy and certificates are honoured.

pip gets the board's platform, never the host's.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from targets.errors import TargetError
from targets.runtimes.release import Wheel

#: Tags under which wheels of the runtimes were published. They only find the wheel: whether one
#: truly loads is decided in `targets/runtimes/fit.py`.
_TAGS = ("manylinux2014", "manylinux_2_17", "manylinux_2_27", "manylinux_2_28", "manylinux_2_34")

DOWNLOAD_TIMEOUT_S = 900
_ASK_TIMEOUT_S = 30


class WheelError(TargetError):
    """A wheel that the board needs cannot be had."""


def name_of(wheel: Wheel) -> str:
    """Write what a wheel is, for a message."""
    python = f"{wheel.python[0]}.{wheel.python[1:]}"
    return f"{wheel.distribution}-{wheel.version} for Python {python} on {wheel.machine}"


def elsewhere(wheels: Sequence[Wheel]) -> str:
    """Write the one command that fetches all of them where there is a network."""
    command = ["pip download --no-deps -d WHEELHOUSE", *platform_options(wheels)]
    return (
        f"On a computer with network: {' '.join(command)}\n"
        "    and name that folder here with --wheelhouse."
    )


def platform_options(wheels: Sequence[Wheel]) -> list[str]:
    """Return pip's arguments for wheels of one board, which share Python and architecture."""
    board = wheels[0]
    arguments = ["--only-binary=:all:", "--implementation", "cp", "--python-version", board.python]
    for tag in _TAGS:
        arguments += ["--platform", f"{tag}_{board.machine}"]
    return [*arguments, *(f"{wheel.distribution}=={wheel.version}" for wheel in wheels)]


def download(wheel: Wheel, folder: Path, all_wheels: Sequence[Wheel]) -> None:
    """Download a wheel.

    Args:
        wheel: Wheel to download.
        folder: Folder for the file.
        all_wheels: Wheels that the board needs, for the command in the hint.

    Raises:
        WheelError: There is no pip, or it cannot download the wheel.
    """
    name = name_of(wheel)
    command = [*find_pip(), "download", "--quiet", "--no-deps", "--dest", str(folder)]
    try:
        result = subprocess.run(
            [*command, *platform_options([wheel])],
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
            elsewhere(all_wheels),
        )


def own_pip() -> list[str]:
    """Return the command of this environment's pip; empty where the environment has none.

    It names pip's folder: `-m pip` would run a pip.py of the current folder.
    """
    spec = find_spec("pip")
    if spec is None or not spec.submodule_search_locations:
        return []
    return [sys.executable, spec.submodule_search_locations[0]]


def find_pip() -> list[str]:
    """Return the command of a pip: this environment's, one on the PATH, or the one that uv brings.

    Raises:
        WheelError: There is none; the user installs one.
    """
    if own := own_pip():
        return own
    for name, more in (("pip", []), ("pip3", []), ("uv", ["tool", "run", "pip"])):
        program = shutil.which(name)
        # A version manager's shim may stand for a pip that is not there.
        if program is not None and _answers([program, *more]):
            return [program, *more]
    raise WheelError(
        "the environment of kedge has no pip, which downloads the board's runtime, and there is "
        "neither pip nor uv on the PATH",
        f"Install one: {sys.executable} -m ensurepip, or: uv pip install pip",
    )


def _answers(command: list[str]) -> bool:
    try:
        done = subprocess.run(
            [*command, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ASK_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
