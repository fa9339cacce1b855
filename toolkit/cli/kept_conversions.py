"""Keeps finished conversions in the results of the project."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from toolkit.cli import output

if TYPE_CHECKING:
    from converters.evidence.conversion import Conversion


#: Most folders of one comparison that are looked at.
_MOST_FOLDERS = 200


def finished_conversions(out: Path) -> list[Conversion]:
    """Return the conversions of several recipes that are whole, also after an interruption.

    Args:
        out: Folder of `--out`, with a folder for each recipe.
    """
    from converters.errors import ConversionError
    from converters.evidence.conversion import CONVERSION_NAME, read_conversion
    from device_agent.contract.codes import IntegrityError

    conversions = []
    for path in sorted(out.glob(f"*/{CONVERSION_NAME}"))[:_MOST_FOLDERS]:
        try:
            conversions.append(read_conversion(path.parent))
        except (ConversionError, IntegrityError):
            continue
    return conversions


def keep_conversions(conversions: Sequence[Conversion]) -> None:
    """Keep conversions in the project's store, and say their numbers.

    Nothing is kept where there is no project, or where it is another user's. What goes wrong is a
    warning: the files of the conversion are whole.

    Args:
        conversions: Finished conversions.
    """
    from targets.project_file import find_file
    from targets.project_trust import is_trusted
    from toolkit.errors import ToolkitError
    from toolkit.results.store import open_results

    path = find_file(Path.cwd())
    if path is None or not conversions or not is_trusted(path):
        return
    try:
        with open_results(path.parent) as store:
            numbers = store.conversions.save(conversions)
    except ToolkitError as error:
        output.warn(f"{error}; the files of the conversion are whole. {error.hint}")
        return
    output.note("kept as conversion " + ", ".join(map(str, numbers)))
