"""The files that hold the variables of a SavedModel."""

from __future__ import annotations

import re
from pathlib import Path

from converters.errors import ConversionError

_FOLDER = "variables"
_INDEX = "variables.index"
_PIECE = re.compile(r"variables\.data-(\d{5})-of-(\d{5})")
#: Class names of TensorFlow's errors about a file that it cannot read to its end.
_DAMAGE = frozenset({"DataLossError", "OutOfRangeError", "NotFoundError", "InternalError"})
_HINT = (
    "Copy the whole folder again, `variables` with it, or save the model again with "
    "`model.export(folder)`."
)


def refuse_damaged_variables(folder: Path, error: Exception) -> None:
    """Raise a refusal if a SavedModel cannot be loaded because of the files of its variables.

    Args:
        folder: Folder of the SavedModel.
        error: Error of TensorFlow.

    Raises:
        ConversionError: A file is missing, cut off or damaged; the user copies the folder again.
    """
    missing = _missing_file(folder / _FOLDER)
    if missing:
        what = f"{_FOLDER}/{missing} is missing, which holds its variables"
    elif _DAMAGE & {kind.__name__ for kind in type(error).__mro__} and _FOLDER in str(error):
        what = f"its variables in {_FOLDER} cannot be read: a file there is cut off or damaged"
    else:
        return
    raise ConversionError(f"{folder}: {what}", _HINT) from error


def _missing_file(folder: Path) -> str:
    """Name of a file that the variables need; "" where all are there."""
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if _INDEX not in names:
        return _INDEX
    counts = [int(match[2]) for name in names if (match := _PIECE.fullmatch(name))]
    count = max(counts, default=1)
    pieces = [f"variables.data-{number:05d}-of-{count:05d}" for number in range(min(count, 10_000))]
    return next((piece for piece in pieces if piece not in names), "")
