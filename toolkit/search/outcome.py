"""What a search came to, as data and as files: search.json, and the models of the front."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from converters import durable
from converters.durable import translate_errors
from converters.evidence.conversion import CONVERSION_NAME
from converters.measure import Figure
from toolkit.search.front import TrialResult, not_distinguishable
from toolkit.search.objective import DEFAULT_OBJECTIVES
from toolkit.search.plain_front import accuracy_on_test, plain_front
from toolkit.search.shared_study import SharedStudy
from toolkit.search.space import recipe_name
from toolkit.search.study import RunningTrial, TrialRecord
from toolkit.search.trial_run import RECIPE_NAME

SCHEMA = 1
#: Name of the summary in the folder of a search.
SEARCH_NAME = "search.json"
#: Name of the folder of the models that no other one beats.
FRONT_NAME = "front"


@dataclass(frozen=True)
class SearchSettings:
    """Limits of a search."""

    place: str
    """Board that measures, in words."""
    duration_s: float
    """Time after which no trial begins any more, seconds."""
    trials: int
    """Number of trials of the whole study after which none begins any more."""
    epochs: int | str
    """Passes over the training samples in each training step, or "auto"."""
    objectives: tuple[str, ...] = DEFAULT_OBJECTIVES
    """Names of the objectives."""
    max_drop: float | None = None
    """Accuracy that a result may lose against the original on the validation samples, 0-1."""
    shared: SharedStudy | None = None
    """Database of the study that several machines share; None for a file in the folder."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Options of the command line, for `kedge search resume`."""


@dataclass(frozen=True)
class Effort:
    """Time of one run of a search."""

    total_s: float
    """Time since the run began, seconds."""
    work_s: float
    """Time of conversions, trainings and measurements, seconds."""
    wait_s: float
    """Time of waiting for trials of other workers, seconds."""

    @property
    def engine_share(self) -> float:
        """Share of the time that went into proposing and keeping trials, 0-1."""
        own_s = self.total_s - self.wait_s
        return max(0.0, own_s - self.work_s) / own_s if own_s > 0 else 0.0


@dataclass(frozen=True)
class BoardState:
    """Whether a board measures."""

    reason: str
    """Reason why it pauses; "" for a board that measures."""
    missing: int
    """Number of files that it did not measure, the reference included."""


@dataclass(frozen=True)
class SearchOutcome:
    """What a search came to so far."""

    original: Figure
    """Accuracy of the original model on the validation samples, 0-1."""
    reference: TrialResult
    """The original in plain 8 bits."""
    front: tuple[TrialResult, ...]
    """Results that no other one beats, the fastest first; by the worst of several boards."""
    fronts: Mapping[str, tuple[TrialResult, ...]]
    """Name of each of several boards to the front on it alone; empty for a single board."""
    boards: Mapping[str, BoardState]
    """Name of each board to its state."""
    max_latency_us: float | None
    """Longest latency on the worst board with which a structure is trained, microseconds."""
    fastest_dropped: Mapping[str, Any] | None
    """Fastest structure of those that were too slow: its number, recipe and latency_us."""
    finished: int
    """Number of trials that ended, with a result or without."""
    reasons: Mapping[int, str]
    """Number of each trial without a result to the reason."""
    refused_moves: Mapping[str, str]
    """Moves that the model cannot go through, and why."""
    elsewhere: Mapping[int, TrialRecord]
    """Number of each result of the front whose files another machine has, and its trial."""
    running: tuple[RunningTrial, ...]
    """Trials that run, of all workers."""
    effort: Effort
    """Time of this run."""


def write_outcome(folder: Path, outcome: SearchOutcome, settings: SearchSettings) -> None:
    """Write search.json.

    Raises:
        HostDiskError: The disk is full or read-only.
    """
    content = json.dumps(plain_search(folder, outcome, settings), indent=2) + "\n"
    temporary = folder / f".{SEARCH_NAME}.new"
    durable.write(temporary, content.encode())
    with translate_errors(temporary):
        temporary.replace(folder / SEARCH_NAME)


def plain_search(folder: Path, outcome: SearchOutcome, settings: SearchSettings) -> dict[str, Any]:
    """Return an outcome as plain data, for search.json and `--json`.

    Args:
        folder: Folder of the search.
        outcome: The outcome.
        settings: Limits of the search.
    """
    objectives, max_drop = settings.objectives, settings.max_drop

    def points(front: Sequence[TrialResult], board: str | None = None) -> list[dict[str, Any]]:
        return plain_front(folder, outcome, front, objectives, max_drop, board)

    reference = outcome.reference
    return {
        "schema": SCHEMA,
        "place": settings.place,
        "objectives": list(objectives),
        "judged_on": {"accuracy": "validation", "test_accuracy": "test"},
        "original_accuracy": asdict(outcome.original),
        "original_test_accuracy": accuracy_on_test(folder / reference.folder, of_original=True),
        "reference": points([reference])[0],
        "max_drop": max_drop,
        "max_latency_us": outcome.max_latency_us,
        "front": points(outcome.front),
        "fronts": {name: points(front, name) for name, front in outcome.fronts.items()},
        "not_distinguishable": [
            list(pair) for pair in not_distinguishable(outcome.front, objectives)
        ],
        "boards": {name: asdict(state) for name, state in outcome.boards.items()},
        "fastest_dropped": outcome.fastest_dropped,
        "finished": outcome.finished,
        "dropped": {str(number): reason for number, reason in outcome.reasons.items()},
        "refused_moves": dict(outcome.refused_moves),
        "running": [
            {"number": trial.number, "recipe": recipe_name(trial.recipe), "worker": trial.worker}
            for trial in outcome.running
        ],
        "study": None if settings.shared is None else settings.shared.public_url,
        "seconds": {**asdict(outcome.effort), "engine_share": outcome.effort.engine_share},
    }


def is_on_disk(folder: Path, relative: str) -> bool:
    """Whether this machine has the files of a result; another worker may have them.

    Args:
        folder: Folder of the search.
        relative: Folder of the result.
    """
    path = (folder / relative).resolve()
    return path.is_relative_to(folder.resolve()) and (path / CONVERSION_NAME).exists()


def copy_front(folder: Path, outcome: SearchOutcome) -> None:
    """Copy the files of the fronts into folders of their own, numbered from the fastest.

    The front of the worst case is in front/1 …, that of one of several boards in front/on-NAME/1 ….
    Of a result whose files another machine has, the recipe is written, which makes it again.

    Args:
        folder: Folder of the search.
        outcome: The outcome.

    Raises:
        HostDiskError: The disk is full or read-only.
    """
    old, new = folder / FRONT_NAME, folder / f".{FRONT_NAME}.new"
    with translate_errors(new):
        shutil.rmtree(new, ignore_errors=True)
        for front, to in (
            (outcome.front, new),
            *((front, new / board_folder(name)) for name, front in outcome.fronts.items()),
        ):
            for number, result in enumerate(front, start=1):
                _copy_model(folder, outcome, result, to / str(number))
        shutil.rmtree(old, ignore_errors=True)
        new.replace(old)


def board_folder(board: str) -> str:
    """Return the name of the folder of a board's front, which no number is taken for."""
    return f"on-{board}"


def _copy_model(folder: Path, outcome: SearchOutcome, result: TrialResult, to: Path) -> None:
    to.mkdir(parents=True)
    if result.number in outcome.elsewhere:
        durable.write(to / RECIPE_NAME, outcome.elsewhere[result.number].recipe.encode())
        return
    for path in (folder / result.folder).iterdir():
        if path.is_file():
            shutil.copyfile(path, to / path.name)
