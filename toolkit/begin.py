"""Begins a project: a kedge.toml with the commands for the user's own model, data and boards."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from converters.errors import ConversionError, MissingConvertExtraError
from converters.request import ConversionRequest
from converters.request_checks import check_request
from targets.address import parse_address
from targets.entry_checks import InventoryError, check_name
from targets.file_edit import replace_file
from targets.inventory import LOCAL
from targets.project_file import FILE_NAME
from toolkit.errors import ToolkitError

#: Names in the commands where the user named nothing.
_MODEL, _DATA, _BOARD = "MODEL", "DATA", "NAME"

_TEXT = """\
# A project of kedge: its boards, one table for each. docs/targets.md lists the keys.
# `kedge target add NAME USER@HOST` adds a board; you may also edit this file.
#
# Convert a model, send it to a board and measure it there:
#     kedge convert-and-push {model} --data {data} --to {board}
# Compare recipes, and keep at most one point of accuracy lost:
#     kedge convert {model} --data {data} --recipe all --max-drop 1% --out out
# Look at all of it:
#     kedge report out/
"""


def check_model_and_data(model: Path | None, data: Path | None) -> None:
    """Refuse a model or data that no conversion would take, before anything is written.

    Without the packages for conversions nothing is looked at but whether the files exist.

    Raises:
        ConversionError: They do not fit; the message says what and where.
    """
    for path in (model, data):
        if path is not None and not path.exists() and ":" not in path.name:
            raise ConversionError(f"{path}: not found", "Name a file or a folder that exists.")
    if model is None or data is None:
        return
    request = ConversionRequest(model, data, "ptq_w8a8", Path("out")).absolute()
    try:
        check_request(request)
    except MissingConvertExtraError:
        return


def check_boards(texts: Sequence[str]) -> dict[str, str]:
    """Return name and address of each board, before anything is written.

    Args:
        texts: Boards as a person writes them, such as `pi=user@raspberrypi` or `here=local`.

    Raises:
        InventoryError: A name or an address is none, or two boards have one name.
        AddressError: An address is none.
    """
    boards: dict[str, str] = {}
    for text in texts:
        name, equals, address = (part.strip() for part in text.partition("="))
        if not (equals and name and address):
            raise InventoryError(
                f"{text!r} is no board, expected NAME=USER@HOST or NAME=local",
                "Write, for instance, pi=pi@raspberrypi.local.",
            )
        check_name(name)
        if address != LOCAL:
            parse_address(address)
        if name in boards:
            raise InventoryError(f"two boards are called {name}", "Choose another name for one.")
        boards[name] = address
    return boards


def refuse_project(folder: Path) -> None:
    """Refuse a folder that has a kedge.toml.

    Args:
        folder: Folder of the new project.

    Raises:
        ToolkitError: There is one already.
    """
    path = folder / FILE_NAME
    if path.exists() or path.is_symlink():
        raise ToolkitError(
            f"{path} is there already", "kedge target add NAME USER@HOST adds a board to it."
        )


def begin_project(
    folder: Path, model: Path | None, data: Path | None, boards: Sequence[str]
) -> Path:
    """Write a kedge.toml without targets.

    Args:
        folder: Folder of the project.
        model: Model of the user, for the commands in the file.
        data: Data of the user, for the commands in the file.
        boards: Names of the boards that will be added.

    Returns:
        The file.

    Raises:
        ToolkitError: There is one already, or it cannot be written.
    """
    refuse_project(folder)
    path = folder / FILE_NAME
    text = _TEXT.format(
        model=_MODEL if model is None else shlex.quote(str(model)),
        data=_DATA if data is None else shlex.quote(str(data)),
        board=boards[0] if boards else _BOARD,
    )
    try:
        replace_file(path, text.encode())
    except OSError as error:
        raise ToolkitError(
            f"cannot write {path}: {error.strerror or error}",
            "Make the folder writable for you, or begin in another one.",
        ) from error
    return path
