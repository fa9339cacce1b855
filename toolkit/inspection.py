"""What a model file means for a place: its runtime, its Edge TPU, and its time."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from converters.formats import FORMATS
from converters.inspection import ModelFigures
from converters.model_file import ModelFile
from targets.progress import OnProgress
from toolkit.contract import (
    RunPlace,
    board_place,
    check_contract,
    estimate_time,
    runtime_place,
    target_place,
)
from toolkit.errors import ToolkitError
from toolkit.project import find_target, open_inventory, project_folder
from toolkit.report import words
from toolkit.report.inspection import (
    describe_contract,
    describe_estimates,
    describe_placement,
    plain_contract,
    plain_estimates,
    plain_placement,
)
from toolkit.report.tables import Block
from toolkit.results.database import NAME
from toolkit.results.store import ResultLine, open_results

#: Number of measurements that are shown beside an estimate, the newest first.
_MOST_MEASUREMENTS = 3


@dataclass(frozen=True)
class PlaceAnswer:
    """Whether a place runs a model file, and how."""

    loads: bool
    """Whether its runtime loads the file; also True where its runtime is not known."""
    plain: dict[str, Any]
    """The answer for a program."""
    blocks: list[Block]
    """The answer for a person."""


def inspect_for(
    model: ModelFile,
    figures: ModelFigures,
    name: str | None,
    board: str | None,
    runtime: str | None,
    on_progress: OnProgress,
) -> PlaceAnswer:
    """Say whether a place runs a model file; one of the three names is given.

    Args:
        model: Model file.
        figures: Its figures.
        name: Name of a target in kedge.toml, or None.
        board: Kind of board, or None.
        runtime: Release of a runtime, or None.
        on_progress: Called before each step that may take a while.

    Raises:
        ToolkitError: There is no such board or release.
        TargetError: The board cannot be reached, or loads no runtime.
        ConversionError: The runtime is unknown.
    """
    if name is not None:
        place = target_place(find_target(name), model.format, on_progress)
    elif board is not None:
        place = board_place(board, model.format)
    else:
        place = runtime_place(runtime or "")
    contract = check_contract(model, place) if place.runtime else None
    plain: dict[str, Any] = {}
    blocks: list[Block] = []
    if contract is not None:
        plain["runtime_contract"] = plain_contract(contract)
        blocks += describe_contract(contract)
    if place.roofline is not None:
        estimates = estimate_time(figures, place.roofline)
        plain["time"] = plain_estimates(place, estimates)
        blocks += describe_estimates(place, estimates)
    lines = _measurements(model, place)
    if lines:
        plain["measurements"] = [vars(line) for line in lines]
        blocks += [_measurement(line) for line in lines]
    predict = FORMATS[model.format].edgetpu_placement
    if place.has_edgetpu and predict is not None and not model.edgetpu:
        placement = predict(model.path)
        plain["edgetpu"] = plain_placement(placement)
        blocks += describe_placement(placement)
    return PlaceAnswer(contract is None or not contract.reasons, plain, blocks)


def _measurements(model: ModelFile, place: RunPlace) -> list[ResultLine]:
    """Return the newest stored measurements of this file on this target."""
    if place.target is None:
        return []
    with suppress(ToolkitError):
        project = open_inventory().path.parent
        if not (project_folder(project) / NAME).is_file():
            return []
        with open_results(project) as store:
            lines = store.list_results(place.name, None).lines
        same = [line for line in lines if line.model_sha256 == model.sha256]
        return same[:_MOST_MEASUREMENTS]
    return []


def _measurement(line: ResultLine) -> str:
    median = words.duration(line.median_us)
    threads = words.count_of("thread", line.threads)
    return (
        f"measured {line.taken_at} (result {line.id}): median {median}, {threads}, {line.verdict}"
    )
