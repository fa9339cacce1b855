"""Writes results to a file, for another program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from targets.file_edit import replace_file
from toolkit.results.database import ResultStoreError


def json_text(document: Mapping[str, Any]) -> str:
    """Return a result as JSON.

    Args:
        document: Result as `toolkit.report.stored_result.plain_samples` returns it.
    """
    return json.dumps(document, indent=1) + "\n"


def write_export(file: Path, text: str) -> None:
    """Write results to a file: whole, or not at all.

    A pipe or a device takes the bytes as they come.

    Args:
        file: File to write; an earlier one is replaced.
        text: Content of the file.

    Raises:
        ResultStoreError: The file cannot be written; an earlier one is unchanged.
    """
    content = text.encode()
    try:
        if file.exists() and not file.is_file():
            file.write_bytes(content)
        else:
            replace_file(file.resolve(), content)  # a link stays one
    except OSError as error:
        message = f"cannot write {file}: {error.strerror or error}"
        raise ResultStoreError(message, "Name a file that can be written.") from error
