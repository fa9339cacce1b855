"""The fronts of a search as plain data. Pure but for the figures of the test samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converters.evidence.conversion import read_conversion
from converters.judge.score import FILE, ORIGINAL
from toolkit.search.front import TrialResult, not_distinguishable, worst_figures

if TYPE_CHECKING:
    from toolkit.search.outcome import SearchOutcome

_TEST = "test"


def plain_front(
    folder: Path,
    outcome: SearchOutcome,
    front: Sequence[TrialResult],
    objectives: Sequence[str],
    max_drop: float | None,
    board: str | None = None,
) -> list[dict[str, Any]]:
    """Return a front as plain data.

    Args:
        folder: Folder of the search.
        outcome: Outcome that the front is of.
        front: The front, the fastest first.
        objectives: Names of the objectives.
        max_drop: Accuracy that a result may lose against the original, 0-1; None for any.
        board: Board whose front it is; None for the worst of all boards.

    Returns:
        An object for each model. Its figures are those of the board, or the worst ones.
    """
    alike = not_distinguishable(front, objectives, board)
    least = None if max_drop is None else outcome.original.value - max_drop
    points = []
    for result in front:
        figures = worst_figures(result) if board is None else result.boards[board]
        elsewhere = outcome.elsewhere.get(result.number)
        test = None if elsewhere else accuracy_on_test(folder / result.folder)
        points.append(
            {
                **asdict(result),
                **asdict(figures),
                "test_accuracy": test,
                "elsewhere": elsewhere and elsewhere.worker,
                "keeps_budget": _keeps_budget(result, least, outcome.max_latency_us),
                "alike": sorted(
                    other
                    for pair in alike
                    for other in pair
                    if result.number in pair and other != result.number
                ),
            }
        )
    return points


def _keeps_budget(
    result: TrialResult, least: float | None, max_latency_us: float | None
) -> bool | None:
    """Whether a result keeps every budget, on the worst board; None without any."""
    if least is None and max_latency_us is None:
        return None
    is_right = least is None or result.accuracy.value >= least
    latency_us = worst_figures(result).latency_us.value
    return is_right and (max_latency_us is None or latency_us <= max_latency_us)


def accuracy_on_test(folder: Path, of_original: bool = False) -> dict[str, float] | None:
    """Return an accuracy on the test samples, which no trial was chosen by, and its interval.

    Args:
        folder: Folder of a conversion.
        of_original: Whether it is that of the original model rather than that of the file.

    Returns:
        "value", "low" and "high", 0-1; None where the test samples did not judge it yet.
    """
    subject = ORIGINAL if of_original else FILE
    for score in read_conversion(folder).scores:
        if (score.subject, score.split, score.output) == (subject, _TEST, ""):
            low, high = score.interval
            return {"value": score.accuracy, "low": low, "high": high}
    return None
