"""Reads the text of `kedge.toml`, and writes it so that nothing else in it changes."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import InlineTable, Table

from targets.entry_checks import InventoryError
from targets.file_edit import edit_alone
from targets.project_trust import require_trusted

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def read_text(path: Path) -> str:
    """Read a file; a missing one is empty.

    Raises:
        InventoryError: It belongs to another user, cannot be read, or is no text.
    """
    try:
        require_trusted(path)
        if path.exists() and not (
            path.is_file() or path.is_dir()
        ):  # a pipe would be waited for without end
            raise InventoryError(f"{path}: is no regular file", "Move it away, or remove it.")
        return path.read_bytes().decode("utf-8")  # read_text() changes line ends
    except FileNotFoundError:
        return ""
    except UnicodeDecodeError as error:
        raise InventoryError(f"{path} is not valid TOML: {error}", "Correct it there.") from error
    except OSError as error:
        raise InventoryError(
            f"cannot read {path}: {error.strerror or error}", "Make it readable for you."
        ) from error


def parse_text(path: Path, text: str) -> dict[str, Any]:
    """Read the values of a file, ten times as fast as `parse_editable`.

    Raises:
        InventoryError: It is not valid TOML.
    """
    try:
        return tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        is_cut = "end of document" in str(error)
        reason = "it ends in the middle of a value" if is_cut else str(error)
        raise InventoryError(f"{path} is not valid TOML: {reason}", "Correct it there.") from error


def parse_editable(path: Path, text: str) -> tomlkit.TOMLDocument:
    """Read a file with its comments and its order, to edit it.

    Raises:
        InventoryError: It is not valid TOML.
    """
    try:
        return tomlkit.parse(text)
    except TOMLKitError as error:
        raise InventoryError(f"{path} is not valid TOML: {error}", "Correct it there.") from error


def set_value(entry: Any, key: str, value: Any) -> None:
    """Write a value into a table of a document.

    Args:
        entry: Table.
        key: Key of the value.
        value: Value; `None` or an empty table removes the key.
    """
    entry.pop(key, None)
    if isinstance(value, Mapping):
        table = tomlkit.inline_table()
        table.update(value)
        value = table if value else None
    if value is not None:
        entry[key] = value


def append_entries(text: str, entries: Mapping[str, Table]) -> str:
    """Return a text with tables of further targets at its end, however long the text is."""
    document = tomlkit.document()
    document["targets"] = tomlkit.table(is_super_table=True)
    for name, entry in entries.items():
        document["targets"][name] = entry
    line_end = "\r\n" if "\r\n" in text else "\n"
    new_lines = tomlkit.dumps(document).replace("\n", line_end)
    if text and not text.endswith("\n"):
        text += line_end
    return text + (line_end if text.strip() else "") + new_lines


def insert_entries(path: Path, text: str, entries: Mapping[str, Table]) -> str:
    """Return a text with further targets in the table of targets that it has.

    Raises:
        InventoryError: It is not valid TOML.
    """
    document = parse_editable(path, text)
    if "targets" not in document:
        document["targets"] = tomlkit.table(is_super_table=True)
    table = document["targets"]
    for name, entry in entries.items():
        # `targets = {…}` is one line, in which tables of several lines have no place.
        if isinstance(table, InlineTable):
            inline = tomlkit.inline_table()
            inline.update(entry)
            table[name] = inline
        else:
            table[name] = entry
    return tomlkit.dumps(document)


def others(plain: dict[str, Any]) -> str:
    """Return all of a file but the targets, in a form that can be compared."""
    return repr({key: value for key, value in plain.items() if key != "targets"})


@contextlib.contextmanager
def edit_file(path: Path) -> Iterator[None]:
    """Let nobody else edit a file meanwhile.

    Raises:
        InventoryError: It cannot be written.
    """
    try:
        with edit_alone(path.resolve()):
            yield
    except OSError as error:
        raise InventoryError(
            f"cannot write {path}: {error.strerror or error}",
            "Make its folder writable for you, or work in another one.",
        ) from error
