"""`kedge convert-and-push`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import output
from toolkit.cli.bench import (
    exit_code_of_outcome,
    plain_outcome,
    print_outcomes,
    records_of_outcomes,
)
from toolkit.cli.kept_conversions import keep_conversions
from toolkit.cli.options import (
    as_json,
    converting,
    file_path,
    max_drop,
    profile,
    quality,
    targets,
    threads,
)
from toolkit.cli.results import keep
from toolkit.report.conversion import describe_budget, describe_conversion, plain_judgement
from toolkit.report.exit_code import EXIT_NOT_TRUSTED, EXIT_REFUSED, gravest_exit_code

if TYPE_CHECKING:
    from converters.evidence.conversion import Conversion
    from toolkit.deployment import ConvertedRecipes
    from toolkit.measure.bench_many import Outcome

#: Folder for the files of models, where the user names none.
FOLDER = Path("kedge-out")


@click.command("convert-and-push")
@click.argument("model", type=file_path())
@converting
@max_drop
@targets
@click.option(
    "--out", type=file_path(), help=f"Folder for the files. The default is {FOLDER}/MODEL."
)
@quality
@profile
@threads
@as_json
def command(
    model: Path,
    data: Path,
    recipe: str,
    seed: int,
    image_range: str,
    formats: tuple[str, bool],
    max_drop: float | None,
    selection: str | None,
    out: Path | None,
    quality: str,
    profile: bool,
    threads: tuple[int, ...] | None,
    as_json: bool,
) -> int:
    """Convert a model, send it to boards, check its outputs there and measure it.

    Of several recipes, --max-drop chooses the file that goes to the boards, by the latency on the
    first board; without it each file is sent and measured. A file that does not keep the budget is
    not sent.

    \b
    kedge convert-and-push resnet8.h5 --data cifar10.tar.gz --to pi
    kedge convert-and-push model.h5 --data data.npz --recipe qat_w8a8 --to pi,coral --out out
    kedge convert-and-push model.h5 --data data.npz --recipe all --max-drop 1% --to pi
    """
    from converters.recipe.recipe import recipe_names
    from converters.request import ConversionRequest
    from toolkit.deployment import check_folder, convert_recipes, try_board
    from toolkit.measure.bench import BenchSettings
    from toolkit.measure.quality import QUALITIES
    from toolkit.project import conversion_cache, open_inventory

    inventory = open_inventory()
    boards = inventory.select(selection)
    names = recipe_names(recipe)
    folder = out or FOLDER / model.stem.replace(":", "_")
    if out is None:
        check_folder(folder, model)
    request = ConversionRequest(
        model, data, names[0], folder, seed, image_range, max_drop, format=formats[0]
    )
    request = replace(request, cache=conversion_cache(), keep_keras=formats[1])
    settings = BenchSettings(
        threads,
        QUALITIES[quality].duration_s,
        processes=QUALITIES[quality].processes,
        quality=quality,
        profile=profile,
    )
    with output.progress() as show:
        for board in boards:
            try_board(board, show, request.format)
        files = convert_recipes(request, names, boards[0], show)
    keep_conversions(_conversions_of(files))
    _warn(files)
    if not as_json:
        _print_files(files, folder)
    return _measure_files(files, boards, settings, inventory.path.parent, as_json)


def _conversions_of(files: ConvertedRecipes) -> list[Conversion]:
    """All that were made, also those that are not sent."""
    compared = () if files.comparison is None else files.comparison.conversions()
    return [*filter(None, (*files.conversions, files.over_budget)), *compared]


def _measure_files(
    files: ConvertedRecipes, boards: list[Any], settings: Any, project: Path, as_json: bool
) -> int:
    outcomes = _measure(files, boards, settings)
    of_all = [outcome for of_file in outcomes for outcome in of_file]
    try:
        _print_outcomes(files, outcomes, as_json)
    finally:
        keep(project, records_of_outcomes(of_all))
    if not files.conversions:
        return EXIT_REFUSED
    return gravest_exit_code(map(_exit_code, of_all))


def _measure(files: ConvertedRecipes, boards: list[Any], settings: Any) -> list[list[Outcome]]:
    """Send each file to each board and measure it there."""
    from toolkit.measure.bench_many import bench_many

    outcomes, pairs = [], _files_of(files)
    for number, (conversion, path) in enumerate(pairs, start=1):
        what = f"file {number} of {len(pairs)}, {_label(conversion, path)}"
        with output.progress() as show:
            if len(pairs) > 1:
                output.note(f"· {what}")
            outcomes.append(bench_many(path, boards, settings, show))
    return outcomes


def _files_of(files: ConvertedRecipes) -> list[tuple[Conversion, Path]]:
    """Each file that goes to the boards, with its conversion."""
    return [(each, path) for each in files.conversions for path in each.model_files]


def _label(conversion: Conversion, path: Path) -> str:
    """Name of a file: its recipe, and its format where there are two."""
    several = len(conversion.model_files) > 1
    return conversion.recipe_label + (f", {path.suffix[1:]}" if several else "")


def _exit_code(outcome: Outcome) -> int:
    measurement = outcome.measurement
    if measurement is not None and measurement.parity.verdict == "INCONCLUSIVE":
        return EXIT_NOT_TRUSTED
    return exit_code_of_outcome(outcome)


def _warn(files: ConvertedRecipes) -> None:
    from converters.comparison.comparison_file import plain_comparison
    from toolkit.report.recipe_comparison import notes_of_recipes

    if files.comparison is not None:
        notes = [*notes_of_recipes(plain_comparison(files.comparison)), *files.comparison.reasons]
    else:
        conversions = [*files.conversions, files.over_budget]
        notes = [note for one in conversions if one is not None for note in one.warnings]
        if files.over_budget is not None and files.over_budget.budget is not None:
            notes += files.over_budget.budget.reasons
    for note in dict.fromkeys(notes):
        output.warn(note)


def _print_files(files: ConvertedRecipes, folder: Path) -> None:
    from converters.comparison.comparison_file import COMPARISON_NAME, plain_comparison
    from toolkit.report.recipe_comparison import describe_recipe_comparison

    if files.comparison is not None:
        plain = plain_comparison(files.comparison)
        output.print_blocks(describe_recipe_comparison(plain, folder / COMPARISON_NAME))
        return
    for conversion in filter(None, (*files.conversions, files.over_budget)):
        output.print_blocks(describe_conversion(conversion))
        output.print_blocks(describe_budget(conversion))
    if files.over_budget is not None:
        output.say("not sent: the file does not keep the budget")


def _print_outcomes(files: ConvertedRecipes, outcomes: list[list[Outcome]], as_json: bool) -> None:
    if as_json:
        output.print_json(_plain(files, outcomes))
    pairs = _files_of(files)
    for (conversion, path), of_file in zip(pairs, outcomes, strict=True):
        if not as_json:
            if len(pairs) > 1:
                output.say(f"{_label(conversion, path)}:")
            print_outcomes(of_file)
    errors = [outcome.error for of_file in outcomes for outcome in of_file if outcome.error]
    if len(errors) == 1 == len(outcomes[0]):
        raise errors[0]


def _plain(files: ConvertedRecipes, outcomes: list[list[Outcome]]) -> dict[str, Any]:
    from converters.comparison.comparison_file import plain_comparison

    plain: dict[str, Any] = {"schema": 1}
    if files.comparison is not None:
        plain["comparison"] = plain_comparison(files.comparison)
    conversions = list(filter(None, (*files.conversions, files.over_budget)))
    if len(conversions) == 1:
        plain["conversion"] = _plain_conversion(conversions[0])
    plain["targets"] = [
        {**plain_outcome(outcome), "recipe": conversion.recipe_label, "format": path.suffix[1:]}
        for (conversion, path), of_file in zip(_files_of(files), outcomes, strict=True)
        for outcome in of_file
    ]
    return plain


def _plain_conversion(conversion: Conversion) -> dict[str, Any]:
    budget = conversion.budget
    return {
        "model": str(conversion.model),
        "recipe": conversion.recipe_label,
        **plain_judgement(conversion),
        "held": None if budget is None else budget.held,
    }
