"""Options of a search, kept in its folder so that `kedge search resume` needs none of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from converters import durable
from toolkit.search.study_errors import SearchError

#: Name of the file with the options in the folder of a search.
COMMAND_NAME = "command.json"
_SCHEMA = 1
_PATH = "path"


def write_command(folder: Path, options: Mapping[str, Any]) -> None:
    """Keep the options of a search.

    Args:
        folder: Folder of the search.
        options: Name of each parameter of the command to its value: text, numbers, paths or None.

    Raises:
        HostDiskError: The disk is full or read-only.
    """
    plain = {
        name: {_PATH: str(value.absolute())} if isinstance(value, Path) else value
        for name, value in options.items()
    }
    content = json.dumps({"schema": _SCHEMA, "options": plain}, indent=2) + "\n"
    temporary = folder / f".{COMMAND_NAME}.new"
    durable.write(temporary, content.encode())
    with durable.translate_errors(temporary):
        temporary.replace(folder / COMMAND_NAME)


def read_command(folder: Path) -> dict[str, Any]:
    """Return the options that `write_command` kept.

    Raises:
        SearchError: The folder has none, or the file is damaged.
    """
    path = folder / COMMAND_NAME
    try:
        content = json.loads(path.read_bytes())
        if content["schema"] != _SCHEMA:
            raise ValueError
        return {
            str(name): Path(value[_PATH]) if isinstance(value, dict) else value
            for name, value in content["options"].items()
        }
    except OSError as error:
        raise SearchError(
            f"{path}: {error.strerror}: the folder has no search that began",
            "Name the folder that was --out of `kedge search`.",
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SearchError(
            f"{path}: is damaged", "Give the whole command instead: kedge search MODEL --data …"
        ) from error
