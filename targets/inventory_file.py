"""Reads the text of `kedge.toml`."""

from __future__ import annotations

from pathlib import Path

import tomlkit
from tomlkit.exceptions import TOMLKitError

from targets.entry_checks import InventoryError
from targets.project_trust import require_trusted


def read_document(path: Path) -> tomlkit.TOMLDocument:
    """Read a file; a missing one is empty.

    Raises:
        InventoryError: It belongs to another user, cannot be read, or is not valid TOML.
    """
    try:
        require_trusted(path)
        return tomlkit.parse(path.read_bytes().decode("utf-8"))  # read_text() changes line ends
    except FileNotFoundError:
        return tomlkit.document()
    except (TOMLKitError, UnicodeDecodeError) as error:
        # What tomlkit calls a character \x00, or an end at column 0, is the end of the file.
        is_cut = r"'\x00'" in str(error) or "end of file" in str(error)
        reason = "it ends in the middle of a value" if is_cut else str(error)
        raise InventoryError(f"{path} is not valid TOML: {reason}", "Correct it there.") from error
    except OSError as error:
        raise InventoryError(
            f"cannot read {path}: {error.strerror or error}", "Make it readable for you."
        ) from error
