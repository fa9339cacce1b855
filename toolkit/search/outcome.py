"""What a search came to, as data and as files: search.json, and the models of the front."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from converters import durable
from converters.durable import translate_errors
from converters.evidence.conversion import CONVERSION_NAME, read_conversion
from converters.measure import Figure
from toolkit.search.front import TrialResult, not_distinguishable
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
class SearchOutcome:
    """What a search came to so far."""

    original: Figure
    """Accuracy of the original model on the validation samples, 0-1."""
    reference: TrialResult
    """The original in plain 8 bits."""
    front: tuple[TrialResult, ...]
    """Results that no other one beats, the fastest first."""
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
    least = None if settings.max_drop is None else outcome.original.value - settings.max_drop
    return {
        "schema": SCHEMA,
        "place": settings.place,
        "judged_on": "validation",
        "original_accuracy": asdict(outcome.original),
        "reference": _plain_point(outcome.reference),
        "max_drop": settings.max_drop,
        "front": [
            {
                **_plain_point(result),
                "test_accuracy": _test_accuracy(folder / result.folder)
                if result.number not in outcome.elsewhere
                else None,
                "elsewhere": outcome.elsewhere[result.number].worker
                if result.number in outcome.elsewhere
                else None,
                "keeps_budget": None if least is None else result.accuracy.value >= least,
            }
            for result in outcome.front
        ],
        "not_distinguishable": [list(pair) for pair in not_distinguishable(outcome.front)],
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
    """Copy the files of the front into folders of their own, numbered from the fastest.

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
        for number, result in enumerate(outcome.front, start=1):
            (new / str(number)).mkdir(parents=True)
            if result.number in outcome.elsewhere:
                recipe = outcome.elsewhere[result.number].recipe
                durable.write(new / str(number) / RECIPE_NAME, recipe.encode())
                continue
            for path in (folder / result.folder).iterdir():
                if path.is_file():
                    shutil.copyfile(path, new / str(number) / path.name)
        shutil.rmtree(old, ignore_errors=True)
        new.replace(old)


def _plain_point(result: TrialResult) -> dict[str, Any]:
    return {**asdict(result), "latency_ratio": asdict(result.latency_ratio)}


def _test_accuracy(folder: Path) -> float | None:
    """Accuracy on the test samples, which no trial was chosen by."""
    accuracy = read_conversion(folder).accuracy
    return None if accuracy is None else accuracy.fraction
