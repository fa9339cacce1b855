"""What a report is about: conversions, stored results and rollouts that a person names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from converters.comparison.comparison_file import COMPARISON_NAME
from converters.evidence.conversion import CONVERSION_NAME, Conversion, read_conversion
from toolkit.errors import ToolkitError

if TYPE_CHECKING:
    from toolkit.results.store import ResultStore, StoredResult

#: Most folders of conversions that are taken from one folder of a comparison.
_MOST_FOLDERS = 200


class SelectionError(ToolkitError):
    """A name stands for nothing that a report could show."""


@dataclass(frozen=True)
class ReportSelection:
    """Conversions and measurements."""

    conversions: tuple[Conversion, ...]
    results: tuple[StoredResult, ...]


def select(store: ResultStore, names: Sequence[str], everything: bool = False) -> ReportSelection:
    """Find conversions and measurements by what a person names.

    Conversions that are named bring the measurements of their files.

    Args:
        store: Results of the project.
        names: Numbers of results, and folders of `kedge convert --out`, of one recipe or several.
        everything: Whether all results are taken, whatever is named.

    Raises:
        SelectionError: A name is neither a number nor a folder of a conversion, or there is no
            result at all.
        ConversionError: A conversion is damaged.
        ResultStoreError: There is no result of a number, or it is damaged.
    """
    numbers = [int(name) for name in names if name.isdecimal()]
    folders = [Path(name) for name in names if not name.isdecimal()]
    conversions = [conversion for folder in folders for conversion in read_conversions(folder)]
    digests = {conversion.model_sha256 for conversion in conversions}
    listing = store.list_results(limit=None)
    numbers += [
        line.id for line in reversed(listing.lines) if everything or line.model_sha256 in digests
    ]
    if everything and not numbers:
        raise SelectionError(
            "this project has no results yet, and no conversion was named",
            "Measure one: kedge bench FILE --on NAME; or name a folder of `kedge convert --out`.",
        )
    results = [store.load(number) for number in dict.fromkeys(numbers)]
    conversions += _conversions_of(results, digests)
    return ReportSelection(tuple(conversions), tuple(results))


def read_conversions(folder: Path) -> list[Conversion]:
    """Read the conversions of one folder of `kedge convert --out`, of one recipe or several.

    Raises:
        SelectionError: The folder has none.
        ConversionError: One is damaged.
    """
    if (folder / CONVERSION_NAME).is_file():
        return [read_conversion(folder)]
    if (folder / COMPARISON_NAME).is_file():
        inside = sorted(path.parent for path in folder.glob(f"*/{CONVERSION_NAME}"))
        return [read_conversion(path) for path in inside[:_MOST_FOLDERS]]
    raise SelectionError(
        f"{folder}: is neither the number of a result nor a folder of `kedge convert --out`",
        "kedge results lists the numbers; a folder has a conversion.json or a comparison.json.",
    )


def _conversions_of(results: Iterable[StoredResult], known: set[str]) -> list[Conversion]:
    """Conversions that still lie beside the files that were measured."""
    from converters.errors import ConversionError
    from device_agent.contract.codes import IntegrityError

    conversions: dict[str, Conversion] = {}
    for result in results:
        folder = Path(result.line.model).parent
        if result.line.model_sha256 in known or not (folder / CONVERSION_NAME).is_file():
            continue
        try:
            conversion = read_conversion(folder)
        except (ConversionError, IntegrityError):
            continue  # the file was made anew since; the result stands without it
        if conversion.model_sha256 == result.line.model_sha256:
            conversions[conversion.model_sha256] = conversion
    return list(conversions.values())
