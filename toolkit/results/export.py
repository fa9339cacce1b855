"""Writes one result to a file, for another program."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from targets.file_edit import replace_file
from toolkit.results.store import ResultStoreError


def write_export(file: Path, document: Mapping[str, Any]) -> None:
    """Write a result as JSON: whole, or not at all.

    A pipe or a device takes the bytes as they come.

    Args:
        file: File to write; an earlier one is replaced.
        document: Result as `toolkit.report.stored_result.plain_samples` returns it.

    Raises:
        ResultStoreError: The file cannot be written; an earlier one is unchanged.
    """
    content = (json.dumps(document, indent=1) + "\n").encode()
    try:
        if file.exists() and not file.is_file():
            file.write_bytes(content)
        else:
            replace_file(file.resolve(), content)  # a link stays one
    except OSError as error:
        message = f"cannot write {file}: {error.strerror or error}"
        raise ResultStoreError(message, "Name a file that can be written.") from error
