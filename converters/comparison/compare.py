"""Converts by several recipes, each into a folder of its own, and measures the files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from converters.comparison.comparison import RecipeComparison, RecipeRow, choose_recipe
from converters.data.dataset import VALIDATION
from converters.data.user_function import user_function_at
from converters.digest import sha256_of
from converters.errors import ConversionError
from converters.evidence.conversion import CONVERSION_NAME, KERAS_NAME, Conversion, read_conversion
from converters.judge.score import FILE
from converters.measure import FileRefusal, Measure
from converters.process import check_request, convert
from converters.progress import Progress, Report, ignore
from converters.recipe.recipe import Recipe, RecipeError, load_recipe
from converters.request import ConversionRequest
from converters.versions import installed_versions
from converters.workers import check_together, worker_of
from device_agent.contract.codes import IntegrityError


def compare_recipes(
    request: ConversionRequest,
    names: Sequence[str],
    on_progress: Report = ignore,
    measure: Measure | None = None,
    latency_decides: bool = True,
) -> RecipeComparison:
    """Convert by several recipes, and choose the strongest.

    A conversion that is there already, of equal inputs by equal packages, is not made again: a
    comparison that was interrupted goes on from there.

    Args:
        request: Model, data and folder; its recipe is not looked at.
        names: Names of recipes, or paths of recipe files.
        on_progress: Called with each report; the recipe's name precedes the stage.
        measure: Measures files: all of them together at the end, and those of the steps that go by
            latency. A file that it refuses has no latency; it is not chosen where latency
            decides.
        latency_decides: Whether the fastest is the strongest. False leaves it to the bytes, for
            latency that was not measured on the board.

    Returns:
        A row for each recipe, and the choice.

    Raises:
        RecipeError: A recipe is unknown or wrong, or two would share a folder.
        HostDiskError: This computer's disk is full or read-only.
        ConversionError: No recipe takes the model with the data, or latency decides and no file
            could be measured.
    """
    folders = _folders(names)
    check_together(worker_of(os.environ), recipes=len(folders))
    rows = _convert_each(request, folders, on_progress, measure, latency_decides)
    no_latency = ""
    if measure is not None:
        try:
            rows = _with_latency(rows, measure, latency_decides)
        except Exception as error:
            # The table is worth having without this column, unless the column decides.
            if latency_decides or not hasattr(error, "exit_code"):
                raise
            no_latency = f"latency was not measured: {error}"
    comparison = choose_recipe(rows, request.max_drop, latency_decides)
    reasons = [no_latency] if no_latency else []
    reasons += [
        f"{row.name}: latency was not measured: {row.unmeasured}" for row in rows if row.unmeasured
    ]
    return replace(comparison, reasons=(*comparison.reasons, *reasons))


def _convert_each(
    request: ConversionRequest,
    folders: dict[str, str],
    on_progress: Report,
    measure: Measure | None,
    latency_decides: bool,
) -> list[RecipeRow]:
    rows = []
    errors = []
    for folder, name in folders.items():
        request_of_row = replace(
            request, recipe=name, out=request.out / folder, judge_all=True, max_drop=None
        ).absolute()
        try:
            report = _with_name(folder, on_progress)
            conversion = _convert_once(request_of_row, report, measure, latency_decides)
            rows.append(RecipeRow(folder, conversion))
        except ConversionError as error:
            # 4: this model or this data; anything else would befall the other recipes too.
            if error.exit_code != ConversionError.exit_code:
                raise
            errors.append(error)
            rows.append(RecipeRow(folder, None, f"{error}; {error.hint}"))
    if len(errors) == len(rows):
        raise errors[0]
    return rows


def _with_latency(
    rows: Sequence[RecipeRow], measure: Measure, latency_decides: bool
) -> list[RecipeRow]:
    files = [row.conversion.model for row in rows if row.conversion is not None]
    answers = dict(zip(files, measure(files), strict=True))
    refusals = [answer for answer in answers.values() if isinstance(answer, FileRefusal)]
    if latency_decides and len(refusals) == len(answers):
        error = ConversionError(refusals[0].reason, refusals[0].hint)
        error.exit_code = refusals[0].exit_code
        raise error
    complete = []
    for row in rows:
        answer = answers[row.conversion.model] if row.conversion else None
        if isinstance(answer, FileRefusal):
            row = replace(row, unmeasured=answer.reason)
        elif answer is not None:
            row = replace(row, latency_us=answer.latency_us.value)
        complete.append(row)
    return complete


def _folders(names: Sequence[str]) -> dict[str, str]:
    """Folder of each recipe (its name, or that of its file) to the recipe as the user named it."""
    folders: dict[str, str] = {}
    for name in names:
        recipe = load_recipe(name)
        folder = Path(name).stem if name.endswith(".toml") else recipe.name
        if folder in folders:
            raise RecipeError(
                f"two recipes are called {folder!r}", "Name each once, and rename one of the files."
            )
        folders[folder] = name
    return folders


def _with_name(folder: str, on_progress: Report) -> Report:
    def report(progress: Progress) -> None:
        on_progress(replace(progress, stage=f"{folder}: {progress.stage}"))

    return report


def _convert_once(
    request: ConversionRequest,
    on_progress: Report,
    measure: Measure | None,
    latency_decides: bool,
) -> Conversion:
    earlier = _earlier_conversion(request, check_request(request))
    if earlier is not None:
        return earlier
    return convert(request, on_progress, measure, latency_decides)


def _earlier_conversion(request: ConversionRequest, recipe: Recipe) -> Conversion | None:
    """Read the whole conversion of equal inputs that is there already, or return None."""
    if not (request.out / CONVERSION_NAME).exists():
        return None
    if recipe.wish.functions() or user_function_at(request.data) is not None:
        return None  # the user's own code may give something else now
    try:
        earlier = read_conversion(request.out)
    except (ConversionError, IntegrityError):
        return None
    inputs_now = (
        recipe.plain_steps(),
        recipe.wish.plain(),
        request.seed,
        request.image_range,
        installed_versions(),
        sha256_of(request.model),
        sha256_of(request.data),
    )
    inputs_then = (
        earlier.recipe_steps,
        dict(earlier.task),
        earlier.seed,
        earlier.image_range,
        dict(earlier.versions),
        earlier.source_sha256,
        earlier.data_sha256,
    )
    figures = earlier.output_figures or ([earlier.metric] if earlier.metric is not None else [])
    scores = [score for metric in figures for score in metric.scores] or earlier.scores
    splits = {score.split for score in scores if score.subject == FILE}
    if request.keep_keras and not (request.out / KERAS_NAME).is_file():
        return None
    is_equal = inputs_now == inputs_then
    return earlier if is_equal and len(splits) > 1 and VALIDATION in splits else None
