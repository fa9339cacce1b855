"""The files that a report compares, with what is known about each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from converters.judge.score import FILE, ORIGINAL
from toolkit.report.file_quality import FileQuality, quality_of

if TYPE_CHECKING:
    from converters.evidence.conversion import Conversion
    from toolkit.results.store import StoredResult

#: Name of the model that was given, in tables and plots.
ORIGINAL_NAME = "original"
#: Characters of a digest that tell files apart for a person.
_DIGEST_SHOWN = 8


@dataclass(frozen=True)
class ReportedFile:
    """One model file, or the original model."""

    name: str
    sha256: str
    size_bytes: int
    quality: FileQuality | None = None
    """`None` where no conversion tells."""
    conversion: Conversion | None = None
    """Conversion that made the file; `None` where it is not known."""
    results: tuple[StoredResult, ...] = ()
    """Measurements, the oldest first."""

    @property
    def is_original(self) -> bool:
        """Whether it is the model that was given, which no board runs."""
        return self.conversion is None and not self.results


def collect_files(
    conversions: Sequence[Conversion], results: Sequence[StoredResult]
) -> tuple[ReportedFile, ...]:
    """Bring conversions and measurements together by the digests of their files.

    Args:
        conversions: Conversions, of one model or several.
        results: Measurements, in any order.

    Returns:
        The original of each model, then the files, in the order of the conversions; behind them
        files that were measured and have no conversion here.
    """
    files: dict[str, ReportedFile] = {}
    for conversion in conversions:
        files.setdefault(conversion.source_sha256, _original(conversion))
        files.setdefault(conversion.model_sha256, _file(conversion))
    for result in sorted(results, key=lambda result: result.line.id):
        digest = result.line.model_sha256
        known = files.get(digest) or _measured_file(result)
        files[digest] = replace(known, results=(*known.results, result))
    return tuple(_with_unique_names(files.values()))


def _original(conversion: Conversion) -> ReportedFile:
    size_bytes = conversion.source_weight_bytes or conversion.source_bytes
    return ReportedFile(
        ORIGINAL_NAME, conversion.source_sha256, size_bytes, quality_of(conversion, ORIGINAL)
    )


def _file(conversion: Conversion) -> ReportedFile:
    return ReportedFile(
        conversion.recipe_file or conversion.recipe or "float32",
        conversion.model_sha256,
        conversion.model_bytes,
        quality_of(conversion, FILE),
        conversion,
    )


def _measured_file(result: StoredResult) -> ReportedFile:
    line = result.line
    size_bytes = result.document.get("model_bytes") or 0
    return ReportedFile(line.recipe or Path(line.model).stem, line.model_sha256, size_bytes)


def _with_unique_names(files: Iterable[ReportedFile]) -> list[ReportedFile]:
    """Tell files of one name apart by their digests."""
    known = list(files)
    names = [file.name for file in known]
    return [
        file
        if names.count(file.name) == 1
        else replace(file, name=f"{file.name} {file.sha256[:_DIGEST_SHOWN]}")
        for file in known
    ]
