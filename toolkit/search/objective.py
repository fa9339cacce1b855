"""What a search improves. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from toolkit.search.study_errors import SearchError

ACCURACY, LATENCY, MEMORY, SIZE, ENERGY = "accuracy", "latency", "memory", "size", "energy"


@dataclass(frozen=True)
class Objective:
    """A value of each trial, and which way is better."""

    name: str
    """Name, such as "accuracy"."""
    is_maximized: bool
    """Whether larger is better."""
    worst: float
    """Value that stands for a trial without a result."""


#: Name of each objective to the objective. All but the accuracy are ratios to the reference.
OBJECTIVES: Mapping[str, Objective] = {
    ACCURACY: Objective(ACCURACY, True, 0.0),
    LATENCY: Objective(LATENCY, False, 100.0),
    MEMORY: Objective(MEMORY, False, 100.0),
    SIZE: Objective(SIZE, False, 100.0),
    ENERGY: Objective(ENERGY, False, 100.0),
}
#: Objectives of every search.
DEFAULT_OBJECTIVES = (ACCURACY, LATENCY)


def choose_objectives(text: str) -> tuple[str, ...]:
    """Return the names of objectives, in the order of `OBJECTIVES`.

    Args:
        text: Names with commas between them.

    Raises:
        SearchError: A name is unknown, or accuracy or latency is missing.
    """
    names = {part.strip() for part in text.split(",") if part.strip()}
    unknown = sorted(names - set(OBJECTIVES))
    if unknown:
        raise SearchError(
            f"--objective {text}: no objective is called {unknown[0]!r}",
            f"There are: {', '.join(OBJECTIVES)}.",
        )
    if not names.issuperset(DEFAULT_OBJECTIVES):
        raise SearchError(
            f"--objective {text}: accuracy and latency are always objectives",
            f"Write --objective {','.join(DEFAULT_OBJECTIVES)} and more behind it.",
        )
    return tuple(name for name in OBJECTIVES if name in names)
