"""Converts by several recipes, each into a folder of its own, and measures the files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from converters.child import ChildDeathError
from converters.comparison.comparison import RecipeComparison, RecipeRow, choose_recipe
from converters.comparison.comparison_file import (
    COMPARISON_NAME,
    EarlierComparison,
    read_earlier_comparison,
)
from converters.data.task import TaskWish
from converters.errors import ConversionError
from converters.measure import FileRefusal, Measure
from converters.out_folder import hold_folder
from converters.process import Converter
from converters.progress import Progress, Report, ignore
from converters.recipe.recipe import Recipe, RecipeError, check_pairing, load_recipe
from converters.request import ConversionRequest
from converters.request_checks import check_data_of, check_inputs
from converters.sources.kinds import identify
from converters.work.reuse import digest_inputs, earlier_conversion, request_digest
from converters.workers import check_together, worker_of


@dataclass(frozen=True)
class _Entry:
    """One recipe of a comparison before it is done."""

    folder: str
    """Name of the recipe, or of its file, and of its folder."""
    recipe: Recipe
    """The recipe."""
    request: ConversionRequest
    """Request of its conversion."""


def compare_recipes(
    request: ConversionRequest,
    names: Sequence[str],
    on_progress: Report = ignore,
    measure: Measure | None = None,
    latency_decides: bool = True,
) -> RecipeComparison:
    """Convert by several recipes, and choose the strongest.

    What is there already is not repeated: a conversion, a refusal or a latency of an equal request
    by equal packages is read from the folder. So a comparison that was interrupted goes on.

    Args:
        request: Model, data and folder; its recipe is not looked at.
        names: Names of recipes, or paths of recipe files.
        on_progress: Called with each report; number and name of the recipe precede the stage.
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
        FolderInUseError: Another conversion writes into the folder.
        ConversionError: No recipe takes the model with the data, or latency decides and no file
            could be measured.
    """
    request = request.absolute()
    entries = _entries(request, names)
    check_together(worker_of(os.environ), recipes=len(entries))
    check_inputs(request)
    with hold_folder(request.out):
        return _compare(request, entries, on_progress, measure, latency_decides)


def _compare(
    request: ConversionRequest,
    entries: Sequence[_Entry],
    on_progress: Report,
    measure: Measure | None,
    latency_decides: bool,
) -> RecipeComparison:
    earlier = read_earlier_comparison(request.out)
    rows = _convert_each(request, entries, earlier, on_progress, (measure, latency_decides))
    notes = []
    if measure is not None:
        known = _with_earlier_latency(rows, earlier, request.measured_on)
        if known is not None:
            rows = known
            notes = [
                f"latency was measured at {earlier.measured_at}; remove "
                f"{request.out / COMPARISON_NAME} to measure it again"
            ]
        else:
            rows, notes = _measure_rows(rows, measure, latency_decides)
    comparison = choose_recipe(rows, request.max_drop, latency_decides)
    notes += [
        f"{row.name}: latency was not measured: {row.unmeasured}" for row in rows if row.unmeasured
    ]
    return replace(
        comparison,
        reasons=(*comparison.reasons, *notes),
        measured_on=request.measured_on if measure is not None else "",
        measured_at=earlier.measured_at if measure is not None and known is not None else "",
    )


def _entries(request: ConversionRequest, names: Sequence[str]) -> list[_Entry]:
    """One entry for each recipe, as the user named them."""
    entries: list[_Entry] = []
    for name in names:
        recipe = load_recipe(name)
        of_row = replace(request, recipe=name, judge_all=True, max_drop=None).absolute()
        folder = of_row.recipe_file or recipe.name
        if any(entry.folder == folder for entry in entries):
            raise RecipeError(
                f"two recipes are called {folder!r}", "Name each once, and rename one of the files."
            )
        entries.append(_Entry(folder, recipe, replace(of_row, out=request.out / folder)))
    return entries


def _convert_each(
    request: ConversionRequest,
    entries: Sequence[_Entry],
    earlier: EarlierComparison,
    on_progress: Report,
    latency: tuple[Measure | None, bool],
) -> list[RecipeRow]:
    source, digests = identify(request.model), digest_inputs(request)
    if not all(entry.recipe.wish.plain() for entry in entries):
        check_data_of(request, TaskWish(), source)
    rows, errors = list[RecipeRow](), list[ConversionError]()
    with Converter(request.out, several=True) as converter:
        for number, entry in enumerate(entries, start=1):
            report = _numbered(f"recipe {number} of {len(entries)}, {entry.folder}", on_progress)
            digest = request_digest(entry.request, entry.recipe, digests)
            try:
                check_pairing(entry.recipe, request.model, source.kind)
                if entry.recipe.wish.plain():
                    check_data_of(request, entry.recipe.wish, source)
                conversion = earlier_conversion(entry.request, entry.recipe, digests)
                end = "converted already"
                if conversion is None:
                    earlier.raise_refusal(digest)
                    conversion = converter.convert(entry.request, entry.recipe, report, *latency)
                    end = "done"
                report(Progress(end, 1, 1))
                rows.append(RecipeRow(entry.folder, conversion))
            except ConversionError as error:
                # 4: this model or this data; anything else would befall the other recipes too.
                if error.exit_code != ConversionError.exit_code:
                    raise
                report(Progress("refused", 1, 1))
                errors.append(error)
                # Another time there may be more memory.
                lasting = "" if isinstance(error, ChildDeathError) else digest
                refused = f"{error}; {error.hint}"
                rows.append(RecipeRow(entry.folder, None, refused, request_sha256=lasting))
    if len(errors) == len(rows):
        raise errors[0]
    return rows


def _with_earlier_latency(
    rows: Sequence[RecipeRow], earlier: EarlierComparison, place: str
) -> list[RecipeRow] | None:
    """Rows with the latency of before; None where a file was not measured at this place."""
    complete = []
    for row in rows:
        if row.conversion is not None:
            sha256 = row.conversion.model_sha256
            latency = earlier.latency(row.name, sha256, place)
            if latency is None:
                return None
            row = replace(row, latency=latency)
        complete.append(row)
    return complete


def _measure_rows(
    rows: list[RecipeRow], measure: Measure, latency_decides: bool
) -> tuple[list[RecipeRow], list[str]]:
    try:
        return _with_latency(rows, measure, latency_decides), []
    except Exception as error:
        # The table is worth having without this column, unless the column decides.
        if latency_decides or not hasattr(error, "exit_code"):
            raise
        return rows, [f"latency was not measured: {error}"]


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
            row = replace(row, latency=answer)
        complete.append(row)
    return complete


def _numbered(what: str, on_progress: Report) -> Report:
    def report(progress: Progress) -> None:
        on_progress(replace(progress, stage=f"{what}: {progress.stage}"))

    return report
