"""The results of trials, and which of them no other one beats. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from converters.measure import Figure
from toolkit.search.objective import Objective

#: Objectives of the sampler, in the order of `objective_values`.
OBJECTIVES = (Objective("accuracy", True, 0.0), Objective("latency_ratio", False, 100.0))


@dataclass(frozen=True)
class BoardFigures:
    """Figures of one file on one board."""

    latency_ratio: Figure
    """Latency divided by that of the reference, both measured in turn."""
    latency_us: Figure
    """Time of one inference, microseconds."""
    memory_bytes: Figure
    """Peak resident memory of the process that runs the file."""
    energy_uj: Figure | None
    """Energy of one inference, microjoules; None where the board has no sensor."""


@dataclass(frozen=True)
class TrialResult:
    """A trial that was trained and measured."""

    number: int
    """Number of the trial in its study; -1 for the reference."""
    recipe: str
    """Name of the recipe, such as "channels50_distill_qat_w8a8"."""
    folder: str
    """Folder of the conversion, relative to that of the search."""
    accuracy: Figure
    """Accuracy of the file on the validation samples, 0-1."""
    boards: Mapping[str, BoardFigures]
    """Name of each board that measured the file to its figures."""
    model_bytes: int
    """Size of the file."""

    @property
    def latency_ratio(self) -> Figure:
        """Largest latency ratio of all boards that measured the file."""
        ratios = [figures.latency_ratio for figures in self.boards.values()]
        return Figure(
            max(ratio.value for ratio in ratios),
            max(ratio.low for ratio in ratios),
            max(ratio.high for ratio in ratios),
        )


def objective_values(result: TrialResult) -> tuple[float, ...]:
    """Return the value of each of `OBJECTIVES`."""
    return result.accuracy.value, result.latency_ratio.value


def plain_trial_result(result: TrialResult) -> dict[str, Any]:
    """Return a result as plain data, for a study."""
    return asdict(result)


def load_result(plain: Mapping[str, Any]) -> TrialResult:
    """Return the result that `plain_trial_result` wrote."""
    boards = {name: _load_figures(figures) for name, figures in plain["boards"].items()}
    return TrialResult(**{**plain, "accuracy": Figure(**plain["accuracy"]), "boards": boards})


def _load_figures(plain: Mapping[str, Any]) -> BoardFigures:
    energy = plain["energy_uj"]
    return BoardFigures(
        Figure(**plain["latency_ratio"]),
        Figure(**plain["latency_us"]),
        Figure(**plain["memory_bytes"]),
        None if energy is None else Figure(**energy),
    )


def pareto_front(results: Sequence[TrialResult]) -> tuple[TrialResult, ...]:
    """Return the results that no other one beats, the fastest first.

    A result is beaten by one that is at least as accurate and at least as fast, and better in one
    of the two. Of equal results the first stays.
    """
    front: list[TrialResult] = []
    ordered = sorted(
        results, key=lambda result: (result.latency_ratio.value, -result.accuracy.value)
    )
    for result in ordered:
        if not front or result.accuracy.value > front[-1].accuracy.value:
            front.append(result)
    return tuple(front)


def not_distinguishable(front: Sequence[TrialResult]) -> tuple[tuple[int, int], ...]:
    """Return pairs of neighbors on the front whose intervals overlap on both axes.

    Args:
        front: Results, the fastest first.

    Returns:
        Numbers of the two trials of each pair.
    """
    return tuple(
        (one.number, other.number)
        for one, other in zip(front, front[1:], strict=False)
        if one.accuracy.overlaps(other.accuracy) and one.latency_ratio.overlaps(other.latency_ratio)
    )
