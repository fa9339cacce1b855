"""The results of trials, and which of them no other one beats. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from converters.measure import Figure
from toolkit.search.objective import ACCURACY, ENERGY, LATENCY, MEMORY, SIZE


@dataclass(frozen=True)
class BoardFigures:
    """Figures of one file on one board."""

    latency_ratio: Figure
    """Latency divided by that of the reference, both measured in turn."""
    latency_us: Figure
    """Time of one inference, microseconds."""
    memory_ratio: Figure
    """Memory divided by that of the reference."""
    memory_bytes: Figure
    """Peak resident memory of the process that runs the file."""
    energy_ratio: Figure | None
    """Energy divided by that of the reference; None where the board has no sensor."""
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
    """Name of each board that measured the file to its figures; at least one board."""
    model_bytes: int
    """Size of the file."""
    size_ratio: float
    """Size divided by that of the reference."""
    sha256: str
    """Digest of the file."""
    structure_sha256: str
    """Digest of the untrained file, of which the latency was measured."""

    @property
    def latency_ratio(self) -> Figure:
        """Largest latency ratio of all boards that measured the file."""
        return worst_figures(self).latency_ratio


def worst_figures(result: TrialResult) -> BoardFigures:
    """Return the largest of each figure over the boards that measured the file."""
    every = list(result.boards.values())
    if len(every) == 1:
        return every[0]
    return BoardFigures(
        _worst([figures.latency_ratio for figures in every]),
        _worst([figures.latency_us for figures in every]),
        _worst([figures.memory_ratio for figures in every]),
        _worst([figures.memory_bytes for figures in every]),
        _worst_known([figures.energy_ratio for figures in every]),
        _worst_known([figures.energy_uj for figures in every]),
    )


def _worst(figures: Sequence[Figure]) -> Figure:
    return Figure(
        max(figure.value for figure in figures),
        max(figure.low for figure in figures),
        max(figure.high for figure in figures),
    )


def _worst_known(figures: Sequence[Figure | None]) -> Figure | None:
    known = [figure for figure in figures if figure is not None]
    return _worst(known) if known else None


def objective_figure(result: TrialResult, objective: str, board: str | None = None) -> Figure:
    """Return the figure of an objective.

    Args:
        result: The result.
        objective: Name of the objective.
        board: Board that measured the file; None for the worst of all boards.

    Returns:
        Figure: accuracy 0-1, or a ratio to the reference.
    """
    figures = worst_figures(result) if board is None else result.boards[board]
    size = Figure(result.size_ratio, result.size_ratio, result.size_ratio)
    unknown = Figure(1.0, 0.0, float("inf"))
    return {
        ACCURACY: result.accuracy,
        LATENCY: figures.latency_ratio,
        MEMORY: figures.memory_ratio,
        SIZE: size,
        ENERGY: figures.energy_ratio or unknown,
    }[objective]


def objective_values(result: TrialResult, objectives: Sequence[str]) -> tuple[float, ...]:
    """Return the value of each objective, the worst of all boards."""
    return tuple(objective_figure(result, name).value for name in objectives)


def plain_trial_result(result: TrialResult) -> dict[str, Any]:
    """Return a result as plain data, for a study."""
    return asdict(result)


def load_result(plain: Mapping[str, Any]) -> TrialResult:
    """Return the result that `plain_trial_result` wrote."""
    boards = {name: load_figures(figures) for name, figures in plain["boards"].items()}
    return TrialResult(**{**plain, "accuracy": Figure(**plain["accuracy"]), "boards": boards})


def load_figures(plain: Mapping[str, Any]) -> BoardFigures:
    """Return the figures whose `dataclasses.asdict` is `plain`."""
    return BoardFigures(
        Figure(**plain["latency_ratio"]),
        Figure(**plain["latency_us"]),
        Figure(**plain["memory_ratio"]),
        Figure(**plain["memory_bytes"]),
        _load_figure(plain["energy_ratio"]),
        _load_figure(plain["energy_uj"]),
    )


def _load_figure(plain: Mapping[str, float] | None) -> Figure | None:
    return None if plain is None else Figure(**plain)


def pareto_front(
    results: Sequence[TrialResult], objectives: Sequence[str], board: str | None = None
) -> tuple[TrialResult, ...]:
    """Return the results that no other one beats, the fastest first.

    A result is beaten by one that is at least as good in each objective, and better in one. Of
    equal results the first stays.

    Args:
        results: The results.
        objectives: Names of the objectives.
        board: Board whose front it is; results that it did not measure are left out. None for the
            worst of all boards.
    """
    front: list[tuple[tuple[float, ...], TrialResult]] = []
    measurements = [result for result in results if board is None or board in result.boards]
    ordered = sorted(
        ((_losses(result, objectives, board), result) for result in measurements),
        key=lambda each: each[0],
    )
    for losses, result in ordered:
        # Sorted, so that nothing behind can beat what is on the front already.
        if not any(
            all(other <= own for other, own in zip(others, losses, strict=True))
            for others, _ in front
        ):
            front.append((losses, result))
    return tuple(result for _, result in front)


def _losses(result: TrialResult, objectives: Sequence[str], board: str | None) -> tuple[float, ...]:
    """What is to be small, the latency first."""
    names = [LATENCY, *(name for name in objectives if name != LATENCY)]
    values = {name: objective_figure(result, name, board).value for name in names}
    return tuple(-value if name == ACCURACY else value for name, value in values.items())


def select_comparable(
    results: Sequence[TrialResult], boards: Collection[str]
) -> tuple[TrialResult, ...]:
    """Return the results that each of these boards measured: only these have a worst case."""
    return tuple(result for result in results if set(boards) <= set(result.boards))


def not_distinguishable(
    front: Sequence[TrialResult], objectives: Sequence[str], board: str | None = None
) -> tuple[tuple[int, int], ...]:
    """Return pairs of results on a front whose intervals overlap in each objective.

    Args:
        front: Results, the fastest first.
        objectives: Names of the objectives.
        board: Board whose front it is; None for the worst of all boards.

    Returns:
        Numbers of the two trials of each pair.
    """
    return tuple(
        (one.number, other.number)
        for place, one in enumerate(front)
        for other in front[place + 1 :]
        if all(
            objective_figure(one, name, board).overlaps(objective_figure(other, name, board))
            for name in objectives
        )
    )
