"""Several recipes on one model and one data set: what each costs and what it loses."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from converters.data.dataset import TEST, VALIDATION
from converters.data.user_function import function_of_path
from converters.digest import sha256_of
from converters.errors import ConversionError
from converters.evidence.conversion import CONVERSION_NAME, KERAS_NAME, Conversion, read_conversion
from converters.judge.budget import judge_budget
from converters.judge.paired import Drop, worst
from converters.judge.score import FILE
from converters.measure import FileRefusal, Measure
from converters.process import check_request, convert
from converters.progress import Progress, Report, ignore
from converters.recipe.recipe import RecipeError, load_recipe
from converters.request import ConversionRequest
from converters.versions import installed_versions
from converters.workers import check_together, worker_of
from device_agent.contract.codes import IntegrityError


@dataclass(frozen=True)
class Row:
    """One recipe of a comparison."""

    name: str
    """Of the recipe, and of its folder."""
    conversion: Conversion | None
    """What came of it, or None."""
    refused: str = ""
    """Why nothing came of it, and what to do; "" where something did."""
    latency_us: float | None = None
    """Latency of one inference; None where it was not measured."""
    unmeasured: str = ""
    """Reason why the file could not be measured; "" where it was, or where nobody measures."""


@dataclass(frozen=True)
class Comparison:
    """What each recipe gives."""

    rows: tuple[Row, ...]
    """In the order that was asked for; at least one has a conversion."""
    max_drop: float | None
    """Accuracy that may be lost, 0-1; None for any."""
    chosen: str
    """The strongest recipe that loses no more than that; "" for none."""
    reasons: tuple[str, ...]
    """Why it was chosen or why none was; empty without `max_drop`."""
    held: bool
    """Whether the chosen one keeps the budget on the test samples too; True without `max_drop`."""
    measured_on: str = ""
    """Where latency was measured, in words; "" where nobody did."""

    def conversions(self) -> tuple[Conversion, ...]:
        """Of the rows that have one."""
        return tuple(row.conversion for row in self.rows if row.conversion is not None)


def compare(
    request: ConversionRequest,
    names: Sequence[str],
    on_progress: Report = ignore,
    measure: Measure | None = None,
    latency_decides: bool = True,
) -> Comparison:
    """Convert by several recipes, each into a folder of its own, and choose.

    A conversion that is there already, of the same inputs by the same packages, is not made again:
    a comparison that was interrupted goes on where it was.

    Args:
        request: Model, data and folder; its recipe is not looked at.
        names: Of recipes, as for `converters.recipe.recipe.load_recipe`.
        on_progress: Told how far it is; the stage is preceded by the recipe's name.
        measure: Measures files: all of them together at the end, and those of the steps that go by
            latency. A file that it refuses has no latency; it is not chosen where latency
            decides.
        latency_decides: Whether the fastest is the strongest. Leave it to the bytes where another
            computer than the board measures.

    Raises:
        RecipeError: A recipe is unknown or wrong, or two would share a folder.
        HostDiskError: This computer's disk is full or read-only.
        ConversionError: No recipe takes the model with the data.
    """
    folders = _folders(names)
    check_together(worker_of(os.environ), recipes=len(folders))
    rows = []
    errors = []
    for folder, name in folders.items():
        wanted = replace(
            request, recipe=name, out=request.out / folder, judge_all=True, max_drop=None
        ).resolved()
        try:
            decides = latency_decides or load_recipe(name).asks_latency
            conversion = _converted(
                wanted, _named(folder, on_progress), measure if decides else None
            )
            rows.append(Row(folder, conversion))
        except ConversionError as error:
            # 4: this model or this data; anything else would befall the other recipes too.
            if error.exit_code != ConversionError.exit_code:
                raise
            errors.append(error)
            rows.append(Row(folder, None, f"{error}; {error.hint}"))
    if len(errors) == len(rows):
        raise errors[0]
    unmeasured: tuple[str, ...] = ()
    if measure is not None:
        try:
            rows = _measured(rows, measure, latency_decides)
        except Exception as error:
            # The table is worth having without this column, unless the column decides.
            if latency_decides or not hasattr(error, "exit_code"):
                raise
            unmeasured = (f"latency was not measured: {error}",)
    found = choose(tuple(rows), request.max_drop, latency_decides)
    unmeasured += tuple(
        f"{row.name}: latency was not measured: {row.unmeasured}" for row in rows if row.unmeasured
    )
    return replace(found, reasons=(*found.reasons, *unmeasured))


def _measured(rows: Sequence[Row], measure: Measure, all_refused_is_error: bool) -> list[Row]:
    files = [row.conversion.model for row in rows if row.conversion is not None]
    answers = dict(zip(files, measure(files), strict=True))
    refusals = [answer for answer in answers.values() if isinstance(answer, FileRefusal)]
    if all_refused_is_error and len(refusals) == len(answers):
        error = ConversionError(refusals[0].reason, refusals[0].hint)
        error.exit_code = refusals[0].exit_code
        raise error
    rows_measured = []
    for row in rows:
        answer = answers[row.conversion.model] if row.conversion else None
        if isinstance(answer, FileRefusal):
            row = replace(row, unmeasured=answer.reason)
        elif answer is not None:
            row = replace(row, latency_us=answer.latency_us.value)
        rows_measured.append(row)
    return rows_measured


def choose(rows: Sequence[Row], max_drop: float | None, latency_decides: bool = True) -> Comparison:
    """Find the strongest conversion that keeps a budget. Pure.

    The validation samples choose; the test samples, which had no part in it, then tell whether the
    chosen one holds. The strongest is the fastest where all were measured and that decides, else
    the one that needs the least memory on a board: file and tensors. The float model itself is no
    candidate.

    Args:
        rows: What each recipe gives.
        max_drop: Accuracy that may be lost, 0-1; None for any.
        latency_decides: As in `compare`.
    """
    if max_drop is None:
        return Comparison(tuple(rows), None, "", (), True)
    reasons = []
    candidates = []
    for row in rows:
        if row.conversion is None or not row.conversion.recipe_steps:
            continue
        verdict = judge_budget(drop_on(row.conversion, VALIDATION), max_drop)
        # Where a board measures, it says by a refusal that it cannot run the file.
        if verdict.held and not (latency_decides and row.unmeasured):
            candidates.append(row)
        reasons += [f"{row.name}: {reason}" for reason in verdict.reasons if not verdict.held]
    if not candidates:
        return Comparison(tuple(rows), max_drop, "", tuple(reasons), False)
    measured = latency_decides and all(row.latency_us is not None for row in candidates)
    best = min(candidates, key=lambda row: _strength(row, measured))
    assert best.conversion is not None
    final = judge_budget(drop_on(best.conversion, TEST), max_drop)
    reasons += [f"{best.name}: {reason}" for reason in final.reasons]
    return Comparison(tuple(rows), max_drop, best.name, tuple(reasons), final.held)


def drop_on(conversion: Conversion, split: str) -> Drop:
    """The drop of accuracy on one split; of several outputs that of the one that loses most.

    Raises:
        ConversionError: The conversion was not judged on it.
    """
    found = [drop for drop in conversion.drops if drop.split == split]
    if not found:
        raise ConversionError(
            f"{conversion.model}: was not judged on the {split} samples", "convert it again"
        )
    return worst(found)


def _strength(row: Row, measured: bool) -> tuple[float, int]:
    """Less is stronger."""
    assert row.conversion is not None and row.conversion.cost is not None
    cost = row.conversion.cost
    held_bytes = row.conversion.model_bytes + cost.peak_tensor_bytes
    if measured and row.latency_us is not None:
        return row.latency_us, held_bytes
    return float(held_bytes), cost.compressed_bytes


def _folders(names: Sequence[str]) -> dict[str, str]:
    """Folder of each recipe: its name, or that of its file."""
    folders: dict[str, str] = {}
    for name in names:
        recipe = load_recipe(name)
        folder = Path(name).stem if name.endswith(".toml") else recipe.name
        if folder in folders:
            raise RecipeError(
                f"two recipes are called {folder!r}", "name each once, and rename one of the files"
            )
        folders[folder] = name
    return folders


def _named(folder: str, on_progress: Report) -> Report:
    def report(progress: Progress) -> None:
        on_progress(replace(progress, stage=f"{folder}: {progress.stage}"))

    return report


def _converted(
    request: ConversionRequest, on_progress: Report, measure: Measure | None
) -> Conversion:
    check_request(request)
    there = _there_already(request)
    return convert(request, on_progress, measure) if there is None else there


def _there_already(request: ConversionRequest) -> Conversion | None:
    """A whole conversion of the very same inputs, or None."""
    if not (request.out / CONVERSION_NAME).exists():
        return None
    recipe = load_recipe(request.recipe)
    if recipe.wish.functions() or function_of_path(request.data) is not None:
        return None  # the user's own code may give something else now
    try:
        found = read_conversion(request.out)
    except (ConversionError, IntegrityError):
        return None
    asked = (
        recipe.plain_steps(),
        recipe.wish.plain(),
        request.seed,
        request.image_range,
        installed_versions(),
        sha256_of(request.model),
        sha256_of(request.data),
    )
    made = (
        found.recipe_steps,
        dict(found.task),
        found.seed,
        found.image_range,
        dict(found.versions),
        found.source_sha256,
        found.data_sha256,
    )
    figures = found.output_figures or ([found.metric] if found.metric is not None else [])
    scores = [score for one in figures for score in one.scores] or found.scores
    judged = {score.split for score in scores if score.subject == FILE}
    if request.keep_keras and not (request.out / KERAS_NAME).is_file():
        return None
    return found if asked == made and len(judged) > 1 and VALIDATION in judged else None
