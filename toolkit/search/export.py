"""What a search found, read again: its summary, and the files of one of its trials."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from converters.durable import translate_errors
from converters.evidence.conversion import CONVERSION_NAME, read_conversion
from converters.out_folder import hold_folder
from toolkit.search.outcome import FRONT_NAME, SCHEMA, SEARCH_NAME, is_on_disk
from toolkit.search.study_errors import SearchError
from toolkit.search.trial_run import RECIPE_NAME

#: Keys of search.json that a reader needs.
_KEYS = ("front", "dropped", "finished", "running", "refused_moves", "not_distinguishable",
         "original_accuracy", "place", "max_drop")  # fmt: skip


def read_search(folder: Path) -> dict[str, Any]:
    """Return the contents of search.json.

    Args:
        folder: Folder of a search, which may run.

    Raises:
        SearchError: There is none, or it is damaged.
    """
    path = folder / SEARCH_NAME
    try:
        plain = json.loads(path.read_bytes())
    except OSError as error:
        raise SearchError(
            f"{path}: {error.strerror}",
            "Name the folder that was --out of `kedge search`; its first trial writes this file.",
        ) from error
    except ValueError:
        plain = None
    if not isinstance(plain, dict) or plain.get("schema") != SCHEMA or not set(_KEYS) <= set(plain):
        raise SearchError(
            f"{path}: is no summary of a search, or one of another version of kedge",
            "kedge search resume writes it anew.",
        )
    return plain


def export_trial(folder: Path, source: Path, out: Path) -> tuple[str, ...]:
    """Copy the files of a trial into a folder.

    Args:
        folder: Folder of the search.
        source: Folder of the trial in it, of `front_folder` or `trial_folder`.
        out: Folder for the files; files of these names are replaced.

    Returns:
        Names of the files. A trial of another machine has its recipe only.

    Raises:
        SearchError: There is no such trial, or it has no model.
        IntegrityError: The files do not belong together.
        HostDiskError: The disk is full or read-only.
    """
    if (source / CONVERSION_NAME).exists():
        read_conversion(source)  # refuses files that do not belong together
    elif not (source / RECIPE_NAME).exists() or FRONT_NAME not in source.parts:
        raise SearchError(
            f"{source}: has no model", f"kedge search show {folder} lists what there is."
        )
    names = sorted(path.name for path in source.iterdir() if path.is_file())
    names = [name for name in names if not name.startswith(".")]
    with hold_folder(out.absolute()), translate_errors(out):
        for name in names:
            shutil.copyfile(source / name, out / name)
    return tuple(names)


def front_folder(folder: Path, number: int) -> Path:
    """Return the folder of a model of the front.

    It is the folder of the trial, or the copy where the trial's folder is on another machine or
    deleted.

    Args:
        folder: Folder of the search.
        number: Number of the model in the table of the front, from 1.

    Raises:
        SearchError: The front has no such model.
    """
    front = read_search(folder)["front"]
    if not 1 <= number <= len(front):
        raise SearchError(
            f"{folder}: the front has models 1 to {len(front)}, not {number}",
            f"kedge search show {folder} lists them.",
        )
    relative = str(front[number - 1]["folder"])
    return folder / (relative if is_on_disk(folder, relative) else f"{FRONT_NAME}/{number}")


def trial_folder(folder: Path, number: int) -> Path:
    """Return the folder of a trial.

    Args:
        folder: Folder of the search.
        number: Number of the trial.

    Raises:
        SearchError: The trial came to no result, or another machine has its files.
    """
    plain = read_search(folder)
    reason = plain["dropped"].get(str(number))
    if reason is not None:
        raise SearchError(
            f"trial {number} came to no result: {reason}", "Choose a trial that has one."
        )
    path = folder / "trials" / str(number)
    if not (path / CONVERSION_NAME).exists():
        raise SearchError(
            f"{folder}: has no files of a trial {number}",
            f"kedge search show {folder} lists what there is.",
        )
    return path
