"""What a report is about: conversions, stored results and rollouts that a person names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from converters.comparison.comparison_file import COMPARISON_NAME
from converters.evidence.conversion import CONVERSION_NAME, Conversion, read_conversion
from toolkit.errors import ToolkitError
from toolkit.results.entry_id import CONVERSION, RESULT, parse_entry_id

if TYPE_CHECKING:
    from toolkit.results.conversions import StoredConversion
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
    dates: Mapping[str, str]
    """Digest of a converted file to the time at which it was made (UTC, ISO 8601), where known."""


#: Selection of nothing, where a report is about rollouts alone.
EMPTY = ReportSelection((), (), {})


@dataclass(frozen=True)
class LabelFilter:
    """Wish for all results that have a tag, or are of a time."""

    tag: str = ""
    """Tag that they have; "" for any."""
    since: str = ""
    """Time from which on they were made (UTC, ISO 8601); "" for any."""


def select(
    store: ResultStore, names: Sequence[str], label_filter: LabelFilter | None = None
) -> ReportSelection:
    """Find conversions and measurements by what a person names.

    Conversions that are named bring the measurements of their files, and measurements bring the
    conversions of theirs.

    Args:
        store: Results of the project.
        names: Numbers of measurements and of conversions, and folders of `kedge convert --out`, of
            one recipe or several.
        label_filter: Tag or time of further measurements and conversions; `None` for none.

    Raises:
        SelectionError: A name is neither a number nor a folder of a conversion, or there is no
            result at all.
        ConversionError: A conversion is damaged.
        ResultStoreError: There is no result of a number, or it is damaged.
    """
    entries = [parse_entry_id(name) for name in names]
    numbers = [each.number for each in entries if each and each.table == RESULT]
    stored = [each.number for each in entries if each and each.table == CONVERSION]
    folders = [Path(name) for name, entry in zip(names, entries, strict=True) if entry is None]
    conversions = [conversion for folder in folders for conversion in read_conversions(folder)]
    conversions += [store.conversions.load(number).conversion for number in stored]
    kept = store.conversions.list_conversions().entries
    if label_filter is not None:
        wishes = store.conversions.list_conversions(None, label_filter.tag, label_filter.since)
        conversions += [each.conversion for each in reversed(wishes.entries)]
        lines = store.list_results(None, None, (), label_filter.tag, label_filter.since).lines
        numbers += [line.id for line in reversed(lines)]
    if not (conversions or numbers):
        raise _nothing(label_filter)
    digests = {conversion.model_sha256 for conversion in conversions}
    if label_filter is None:
        lines = store.list_results(limit=None).lines
        numbers += [line.id for line in reversed(lines) if line.model_sha256 in digests]
    results = [store.load(number) for number in dict.fromkeys(numbers)]
    conversions += _conversions_of(results, digests, kept)
    dates = {each.conversion.model_sha256: each.converted_at for each in kept}
    return ReportSelection(tuple(conversions), tuple(results), dates)


def _nothing(label_filter: LabelFilter | None) -> SelectionError:
    if label_filter is not None and (label_filter.tag or label_filter.since):
        return SelectionError("no result has this tag and time", "List all: kedge results")
    return SelectionError(
        "this project has no results yet, and no conversion was named",
        "Measure one: kedge bench FILE --on NAME; or name a folder of `kedge convert --out`.",
    )


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
        "kedge results lists the numbers, such as 12 or c3; a folder has a conversion.json or a "
        "comparison.json.",
    )


def _conversions_of(
    results: Iterable[StoredResult], known: set[str], kept: Sequence[StoredConversion]
) -> list[Conversion]:
    """Conversions of files that were measured: kept ones, and those that lie beside the files."""
    from converters.errors import ConversionError
    from device_agent.contract.codes import IntegrityError

    by_digest = {each.conversion.model_sha256: each.conversion for each in kept}
    conversions: dict[str, Conversion] = {}
    for result in results:
        digest, folder = result.line.model_sha256, Path(result.line.model).parent
        if digest in by_digest and digest not in known:
            conversions[digest] = by_digest[digest]
            continue
        if digest in known or not (folder / CONVERSION_NAME).is_file():
            continue
        try:
            conversion = read_conversion(folder)
        except (ConversionError, IntegrityError):
            continue  # the file was made anew since; the result stands without it
        if conversion.model_sha256 == result.line.model_sha256:
            conversions[conversion.model_sha256] = conversion
    return list(conversions.values())
