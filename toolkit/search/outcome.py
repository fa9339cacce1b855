"""What a search came to, as data and as files: search.json, and the models of the front."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from converters import durable
from converters.durable import translate_errors
from converters.evidence.conversion import read_conversion
from converters.measure import Figure
from toolkit.search.front import TrialResult, not_distinguishable

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
                "test_accuracy": _test_accuracy(folder / result.folder),
                "keeps_budget": None if least is None else result.accuracy.value >= least,
            }
            for result in outcome.front
        ],
        "not_distinguishable": [list(pair) for pair in not_distinguishable(outcome.front)],
        "finished": outcome.finished,
        "dropped": {str(number): reason for number, reason in outcome.reasons.items()},
        "refused_moves": dict(outcome.refused_moves),
    }


def copy_front(folder: Path, front: Sequence[TrialResult]) -> None:
    """Copy the files of the front into folders of their own, numbered from the fastest.

    Args:
        folder: Folder of the search.
        front: The front, the fastest first.

    Raises:
        HostDiskError: The disk is full or read-only.
    """
    old, new = folder / FRONT_NAME, folder / f".{FRONT_NAME}.new"
    with translate_errors(new):
        shutil.rmtree(new, ignore_errors=True)
        for number, result in enumerate(front, start=1):
            names = [path for path in (folder / result.folder).iterdir() if path.is_file()]
            (new / str(number)).mkdir(parents=True)
            for path in names:
                shutil.copyfile(path, new / str(number) / path.name)
        shutil.rmtree(old, ignore_errors=True)
        new.replace(old)


def _plain_point(result: TrialResult) -> dict[str, Any]:
    return {**asdict(result), "latency_ratio": asdict(result.latency_ratio)}


def _test_accuracy(folder: Path) -> float | None:
    """Accuracy on the test samples, which no trial was chosen by."""
    accuracy = read_conversion(folder).accuracy
    return None if accuracy is None else accuracy.fraction
