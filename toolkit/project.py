"""The project a command works in: the folder that holds `kedge.toml`."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from targets.project_file import FILE_NAME, find_file
from targets.project_trust import is_trusted, require_trusted
from toolkit.errors import ToolkitError

if TYPE_CHECKING:
    from targets.inventory import Inventory, Target

#: Folder beside `kedge.toml`, for results and finished steps of conversions.
FOLDER = ".kedge"


def open_inventory(start: Path | None = None) -> Inventory:
    """Find the project's inventory: `kedge.toml` in a folder or in one above it.

    Args:
        start: Folder to begin in; the current one if not given.

    Raises:
        ToolkitError: There is none.
    """
    from targets.inventory import Inventory

    return Inventory(_project_file(start))


def find_project(start: Path | None = None) -> Path:
    """Find the project's folder, without a look at its targets.

    Args:
        start: Folder to begin in; the current one if not given.

    Raises:
        ToolkitError: There is none.
        InventoryError: Its `kedge.toml` belongs to another user.
    """
    path = _project_file(start)
    require_trusted(path)
    return path.parent


def _project_file(start: Path | None) -> Path:
    start = (start or Path.cwd()).resolve()
    path = find_file(start)
    if path is None:
        raise ToolkitError(
            f"no {FILE_NAME} in {start} or in a folder above it",
            "Add a board first: kedge target add NAME USER@HOST (or: NAME local)",
        )
    return path


def open_or_create_inventory(start: Path | None = None) -> Inventory:
    """Find the project's inventory, or begin one in `start`; nothing is written yet."""
    from targets.inventory import Inventory

    start = (start or Path.cwd()).resolve()
    return Inventory(find_file(start) or start / FILE_NAME)


def project_folder(project: Path, *names: str) -> Path:
    """Return a folder below `.kedge`, which may not exist yet.

    Args:
        project: Folder of `kedge.toml`.
        names: Names of the folders below `.kedge`, the outermost first; none for `.kedge` itself.

    Raises:
        ToolkitError: It is a link, or lies in one: somebody else may choose what it leads to, as
            the author of a project that was cloned. The user makes a folder of it.
    """
    folder = project
    for name in (FOLDER, *names):
        folder /= name
        if folder.is_symlink():
            raise ToolkitError(
                f"{folder} is a link to another folder: kedge keeps its files in the project",
                "Remove the link, and move that folder here if it is yours. Whole disks can be "
                "linked or mounted above the project.",
            )
    return folder


def conversion_cache(start: Path | None = None) -> Path:
    """Return the folder of finished steps of conversions: in the project, or in the user's caches.

    A project of another user is passed over, and one whose folder is a link.

    Args:
        start: Folder in which the project is sought; the current one if not given.

    Raises:
        ToolkitError: There is no project, and the user has no home; the user names a folder.
    """
    path = find_file((start or Path.cwd()).resolve())
    if path is not None and is_trusted(path):
        with suppress(ToolkitError):
            return project_folder(path.parent, "cache", "conversions")
    own = os.environ.get("XDG_CACHE_HOME", "")
    try:
        caches = Path(own) if Path(own).is_absolute() else Path.home() / ".cache"
    except RuntimeError as error:
        raise ToolkitError(
            "there is no folder for finished steps of conversions: HOME is not set, and the user "
            f"id {os.getuid()} has no home on this computer",
            "Name a folder in XDG_CACHE_HOME, or set HOME.",
        ) from error
    return caches / "kedge" / "conversions"


def find_target(name: str | None, start: Path | None = None) -> Target:
    """Return a target of the project.

    Args:
        name: Name of the target; `None` for the only one of the project.
        start: Folder in which the project is sought; the current one if not given.

    Raises:
        ToolkitError: There is no inventory.
        InventoryError: It has no such target, or several and none was named.
    """
    inventory = open_inventory(start)
    return inventory.only() if name is None else inventory.get(name)
