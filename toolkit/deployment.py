"""The whole arrow: model and data in, a measured int8 model on a board out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from converters.comparison.compare import compare_recipes
from converters.comparison.comparison import RecipeComparison
from converters.comparison.comparison_file import COMPARISON_NAME, write_comparison
from converters.evidence.conversion import CONVERSION_NAME, MODEL_NAME, Conversion
from converters.evidence.other_file import BOTH_FORMATS, ONNX_FORMAT, ONNX_NAME, TENSORRT_FORMAT
from converters.formats import FORMATS, read_model_file
from converters.process import convert
from converters.request import ConversionRequest
from targets.inventory import Target
from targets.place import place_of
from targets.progress import OnProgress, no_progress
from targets.staged_file import StagedFile
from toolkit.admission import admit, admit_conversion
from toolkit.check import CONVERTED_FORMAT
from toolkit.errors import ToolkitError
from toolkit.measure.bench import BenchSettings, Measurement, bench_on
from toolkit.measure.host_latency import measure_on
from toolkit.measure.ready import open_board
from toolkit.progress import forward


class OccupiedFolderError(ToolkitError):
    """The folder for the results holds files of another model: nothing was started."""


@dataclass(frozen=True)
class Deployment:
    """A conversion, and the measurement of its file on the board."""

    conversion: Conversion
    measurement: Measurement


@dataclass(frozen=True)
class ConvertedRecipes:
    """Files of one model, converted for boards."""

    conversions: tuple[Conversion, ...]
    """Conversions that may go to the boards: that of a single recipe, the chosen one of several,
    or without a budget each of them. Empty where a budget is not kept."""
    comparison: RecipeComparison | None
    """Table of several recipes; None for a single one."""
    over_budget: Conversion | None = None
    """Conversion of a single recipe that does not keep its budget; None where there is none."""


def deploy(
    request: ConversionRequest,
    target: Target,
    settings: BenchSettings | None = None,
    on_progress: OnProgress = no_progress,
) -> Deployment:
    """Convert a model, push it to a target, check its outputs there and time it.

    The board is tried first: a training of hours must not end at a wrong password.

    Args:
        request: Model, data, recipe and where the files go.
        target: The board.
        settings: How it is measured.
        on_progress: Called as the work goes on.

    Raises:
        ConversionError: The model or the data do not fit.
        TargetError: The board cannot be reached, has no place, or loads no runtime.
        AgentError: The board cannot load or run the model.
        IntegrityError: Something arrived damaged.
    """
    try_board(target, on_progress, request.format)
    request = replace(request, measured_on=place_of(target))
    conversion = convert(request, forward(on_progress), measure_on(target, on_progress))
    with open_board(target, on_progress) as device:
        measurement = bench_on(
            read_model_file(conversion.model), device, settings or BenchSettings(), on_progress
        )
    return Deployment(conversion, measurement)


def try_board(
    target: Target, on_progress: OnProgress = no_progress, file_format: str = CONVERTED_FORMAT
) -> None:
    """Refuse a board that cannot run a file of a conversion, before the work begins.

    Args:
        target: The board.
        on_progress: Called as it goes on.
        file_format: Format of the file, "both", or "tensorrt".

    Raises:
        ConversionError: The board takes no such file.
        TargetError: The board cannot be reached, has no place, or loads no runtime.
    """
    formats = {BOTH_FORMATS: tuple(FORMATS), TENSORRT_FORMAT: (ONNX_FORMAT,)}
    with open_board(target, on_progress) as device:
        for each in formats.get(file_format, (file_format,)):
            _ = device.runtime_for(each)
        admit_conversion(target)


def convert_recipes(
    request: ConversionRequest,
    names: Sequence[str],
    target: Target,
    on_progress: OnProgress = no_progress,
) -> ConvertedRecipes:
    """Convert a model by one recipe or several, for boards of which one measures.

    Args:
        request: Model, data, budget and where the files go.
        names: Names of recipes, or paths of recipe files.
        target: Board that measures latency where it decides.
        on_progress: Called as the work goes on.

    Raises:
        ConversionError: The model or the data do not fit.
        TargetError: The board cannot be reached.
        AgentError: The board cannot load or run a model.
    """
    request = replace(request, measured_on=place_of(target))
    measure = measure_on(target, on_progress)
    if len(names) == 1:
        conversion = convert(replace(request, recipe=names[0]), forward(on_progress), measure)
        if conversion.budget is not None and not conversion.budget.held:
            return ConvertedRecipes((), None, conversion)
        return ConvertedRecipes((conversion,), None)
    comparison = compare_recipes(request, names, forward(on_progress), measure)
    write_comparison(comparison, request.out.absolute())
    if request.max_drop is None:
        return ConvertedRecipes(comparison.conversions(), comparison)
    chosen = (
        row.conversion
        for row in comparison.rows
        if comparison.held and row.name == comparison.chosen
    )
    return ConvertedRecipes(tuple(filter(None, chosen)), comparison)


def check_folder(out: Path, model: Path) -> None:
    """Refuse a folder that nobody named and that holds files of another model.

    Args:
        out: Folder of a conversion or a comparison; it need not exist.
        model: The model to convert.

    Raises:
        OccupiedFolderError: A conversion there is of another model, or is not known.
    """
    sources = set()
    for name, key in ((CONVERSION_NAME, "source"), (COMPARISON_NAME, "model")):
        if (out / name).exists():
            try:
                sources.add(str(json.loads((out / name).read_text(encoding="utf-8"))[key]))
            except (OSError, ValueError, LookupError, TypeError):
                sources.add(f"unknown: {name} cannot be read")
    for name in (MODEL_NAME, ONNX_NAME):
        if not sources and (out / name).exists():
            sources.add(f"unknown: there is no {CONVERSION_NAME} beside its {name}")
    others = sorted(sources - {str(model.absolute())})
    if others:
        raise OccupiedFolderError(
            f"{out}: holds files of another model ({others[0]})",
            "Name a folder with --out, or remove this one.",
        )


def push(
    path: Path,
    target: Target,
    on_progress: OnProgress = no_progress,
    on_override: Callable[[str], None] | None = None,
) -> StagedFile:
    """Send a model file into the scratch area of a target; what is there is not sent again.

    Args:
        path: Model file.
        target: Board.
        on_progress: Called as the work goes on.
        on_override: Called with a refusal of the runtime, which is then overridden; None to refuse.

    Raises:
        ConversionError: The file is no whole model file, or the board's runtime cannot load it.
        TargetError: The board cannot be reached, or has no place.
        IntegrityError: It arrived damaged.
    """
    contents = read_model_file(path)
    with open_board(target, on_progress) as device:
        refusal = admit(contents, device, force=on_override is not None)
        if refusal and on_override is not None:
            on_override(refusal)
        return device.push(path, on_progress)
