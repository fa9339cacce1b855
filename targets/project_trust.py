"""What of a project is trusted: a `kedge.toml` of this user, and no program that comes with it.

A project may be the clone of somebody else's, and a folder above the current one may belong to
another user of this computer.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from targets.entry_checks import InventoryError
from targets.execution import Execution

#: Folders whose paths lead elsewhere in another process, or at another time.
_SHIFTING = (Path("/proc"), Path("/dev/fd"))


def require_trusted(path: Path) -> None:
    """Refuse a file that belongs to another user, or a link that does.

    Root's files are trusted, and with `sudo` those of the user who called it.

    Raises:
        InventoryError: The file belongs to somebody else; the user makes it theirs.
        OSError: The file cannot be read.
    """
    trusted = {0, os.geteuid()}
    if os.geteuid() == 0 and os.environ.get("SUDO_UID", "").isdecimal():
        trusted.add(int(os.environ["SUDO_UID"]))
    expected = " or ".join(dict.fromkeys((_user(os.geteuid()), _user(0))))
    for owner in (path.lstat().st_uid, path.stat().st_uid):
        if owner not in trusted:
            raise InventoryError(
                f"{path} belongs to {_user(owner)}, expected {expected}: its owner chooses what "
                "kedge does as you",
                f"Read it. If you trust it, make it yours: chown {os.geteuid()} {path}. If "
                "not, work in a folder of your own.",
            )


def is_trusted(path: Path) -> bool:
    """Whether `require_trusted` accepts a file."""
    try:
        require_trusted(path)
    except (InventoryError, OSError):
        return False
    return True


def refuse_project_programs(where: str, root: str, execution: Execution, file: Path) -> None:
    """Refuse programs of a project as the `python` or `delegate` of this computer.

    Args:
        where: File and entry, for messages.
        root: Folder for kedge's files on this computer.
        execution: Settings of a target that is this computer.
        file: `kedge.toml` of the project.

    Raises:
        InventoryError: A program lies in the project, or a path leads elsewhere at another time.
    """
    shifting = _folder_with(root, _SHIFTING)
    if shifting is not None:
        raise InventoryError(
            f"{where}: root {root!r} lies in {shifting}, which is another folder for each process",
            "Name the folder itself, or leave out `root`.",
        )
    delegate = execution.delegate if execution.delegate.startswith("/") else ""
    for key, program in (("python", execution.python), ("delegate", delegate)):
        if not program:
            continue
        folder = _folder_with(program, (*_SHIFTING, *_project_folders(file)))
        if folder is not None:
            raise InventoryError(
                f"{where}: {key} {program!r} lies in {folder}: kedge runs no program that comes "
                "with a project on this computer",
                f"Put it into a folder outside of the project, and name that as `{key}`.",
            )


def _project_folders(file: Path) -> tuple[Path, ...]:
    """Return the project's folder, and that of its repository; neither is your home."""
    here = Path(os.path.abspath(file)).parent  # noqa: PTH100 - links are looked at below
    folders = [here, *(folder for folder in here.parents if (folder / ".git").exists())]
    home = Path(os.path.realpath(os.path.expanduser("~")))  # noqa: PTH111 - never raises
    return tuple(folder for folder in folders if folder not in (home, *home.parents))


def _folder_with(program: str, folders: tuple[Path, ...]) -> Path | None:
    """Return the folder in which a program is, by its path or by what its links lead to."""
    # normpath keeps two slashes in front, which mean one.
    paths = {Path("/", os.path.normpath(program).lstrip("/")), Path(os.path.realpath(program))}
    # A link in the project may lead out of it, and another way round.
    paths |= {Path(os.path.realpath(path.parent)) / path.name for path in tuple(paths)}
    for folder in folders:
        places = {folder, Path(os.path.realpath(folder))}
        if any(place in path.parents for place in places for path in paths):
            return folder
    return None


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return f"uid {number}"
