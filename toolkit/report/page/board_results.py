"""The measurements of a report by board: each file's latest one, and what it showed. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from toolkit.judge.verdict import INVALID
from toolkit.report.page.reported_file import ReportedFile

if TYPE_CHECKING:
    from toolkit.results.store import StoredResult


@dataclass(frozen=True)
class BoardResult:
    """The latest measurement of a file in one setting on one board."""

    file: ReportedFile
    result: StoredResult

    @property
    def is_trusted(self) -> bool:
        """Whether its figures say anything."""
        return self.result.verdict.kind != INVALID


@dataclass(frozen=True)
class BoardResults:
    """Measurements on one board with one number of threads, in one mode."""

    target: str
    place: str
    """Name of the board, or "this computer"."""
    threads: int
    mode: str
    """`soak`, "30 Hz" or "2 streams"; "" for runs back to back."""
    results: tuple[BoardResult, ...]
    """One for each file, in the order of the files."""

    @property
    def title(self) -> str:
        """Board and setting in words."""
        place = "" if self.place == self.target else f" ({self.place})"
        threads = f"{self.threads} thread" + ("" if self.threads == 1 else "s")
        return f"{self.target}{place}, {threads}" + (f", {self.mode}" if self.mode else "")

    @property
    def trusted_results(self) -> tuple[BoardResult, ...]:
        """Results whose figures say anything."""
        return tuple(each for each in self.results if each.is_trusted)


def group_by_board(files: Sequence[ReportedFile]) -> tuple[BoardResults, ...]:
    """Group the latest measurement of each file by board, threads and mode.

    Args:
        files: Files with their measurements, the oldest first.
    """
    groups: dict[tuple[str, int, str], dict[str, BoardResult]] = {}
    for file in files:
        for result in file.results:
            line = result.line
            group = groups.setdefault((line.target, line.threads, line.mode), {})
            group[file.sha256] = BoardResult(file, result)
    return tuple(
        _board_results(target, threads, mode, tuple(group.values()))
        for (target, threads, mode), group in groups.items()
    )


def _board_results(
    target: str, threads: int, mode: str, results: tuple[BoardResult, ...]
) -> BoardResults:
    place = str(results[-1].result.document["place"])
    return BoardResults(target, place, threads, mode, results)
