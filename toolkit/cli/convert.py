"""`kedge convert`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli import output
from toolkit.cli.completion import complete_targets
from toolkit.cli.kept_conversions import finished_conversions, keep_conversions
from toolkit.cli.options import as_json, converting, file_path, max_drop
from toolkit.cli.report_files import report_files, write_reports
from toolkit.cli.tracking import send_to_tracker, track
from toolkit.report import words
from toolkit.report.conversion import describe_budget, describe_conversion
from toolkit.report.exit_code import EXIT_REFUSED
from toolkit.report.plan import describe_plans
from toolkit.report.recipe_comparison import describe_recipe_comparison, notes_of_recipes

if TYPE_CHECKING:
    from converters.evidence.conversion import Conversion
    from converters.request import ConversionRequest
    from targets.inventory import Target
    from toolkit.track.tracked_run import TrackedRun


@click.command("convert")
@click.argument("model", type=file_path())
@converting
@click.option("--out", required=True, type=file_path(), help="Folder for the results.")
@max_drop
@click.option(
    "--latency-on",
    metavar="NAME",
    shell_complete=complete_targets,
    help="Target that measures latency where a recipe needs it, instead of this computer.",
)
@click.option(
    "--logs",
    type=file_path(),
    hidden=True,
    help="Folder for the figures of each epoch while it trains, for TensorBoard.",
)
@click.option(
    "--accelerator",
    type=click.Choice(["edgetpu"]),
    help="Also compile the file for it, by the compiler that is installed here.",
)
@click.option("--dry-run", is_flag=True, help="Show the steps and an estimate; write nothing.")
@track
@report_files
@as_json
def command(
    model: Path,
    data: Path,
    recipe: str,
    seed: int,
    image_range: str,
    formats: tuple[str, bool],
    out: Path,
    max_drop: float | None,
    latency_on: str | None,
    logs: Path | None,
    accelerator: str | None,
    dry_run: bool,
    tracker: str | None,
    reports: tuple[Path, ...],
    as_json: bool,
) -> int:
    """Convert a trained model to a .tflite, and prove its accuracy on the file that ships.

    MODEL is a .pt2 of PyTorch, an .onnx, a .h5 or .keras file, a SavedModel folder or a float
    .tflite; or module:function, which returns a torch module and an example of its input. The
    command writes OUT/model.tflite, OUT/conversion.json (the evidence), OUT/golden.npz (inputs for
    the comparison with a board) and OUT/model.toml (what goes in and comes out; an edited file is
    kept). It compares several recipes, separated by commas, or `all`: each has its own folder in
    OUT, and OUT/comparison.json has the table. With --format onnx the file is OUT/model.onnx; with
    both it is beside OUT/model.tflite. Each is judged by its own runtime.

    Finished steps are kept in the project's .kedge folder, or in ~/.cache/kedge. After an
    interruption the same command continues, and does not repeat finished training. With --max-drop
    the step that lost most is made milder, or left out, until the file keeps the budget.

    With --accelerator edgetpu, Coral's edgetpu_compiler makes OUT/model_edgetpu.tflite of the
    finished file; OUT/model_edgetpu.json has its table beside what kedge predicted.

    \b
    kedge convert resnet8.h5 --data cifar10.tar.gz --out out
    kedge convert model.keras --data data.npz --recipe qat_w8a8 --max-drop 0.01 --out out
    kedge convert my_model:make --data my_data:load --recipe qat_w8a8 --out out
    kedge convert model.keras --data data.npz --recipe qat_w8a8 --format tflite,keras --out out
    kedge convert model.keras --data data.npz --recipe all --latency-on pi --out out
    kedge convert model.keras --data data.npz --recipe all --out out --report r.html --track mlflow
    kedge convert model.keras --data data.npz --format both --out out
    kedge convert model.keras --data data.npz --accelerator edgetpu --out out
    """
    from converters.recipe.recipe import recipe_names
    from converters.request import ConversionRequest

    request = ConversionRequest(
        model, data, recipe, out, seed, image_range, max_drop, logs=logs, format=formats[0]
    )
    request = replace(request, keep_keras=formats[1])
    names = recipe_names(recipe)
    if accelerator is not None:
        _check_accelerator(request, names)
    if dry_run:
        return _plan(request, names, as_json)
    code = _do(request, names, latency_on, accelerator, as_json)
    _report(tracker, reports, out)
    return code


def _check_accelerator(request: ConversionRequest, names: tuple[str, ...]) -> None:
    from converters.edgetpu_conversion import check_accelerator
    from converters.recipe.recipe import load_recipe

    if len(names) > 1:
        raise click.UsageError("--accelerator goes with one recipe")
    check_accelerator(request, load_recipe(names[0]))


def _print_compiled(conversion: Conversion, as_json: bool) -> None:
    """Compile the finished file, which stays as it is if that fails, and print both results."""
    from converters.edgetpu_conversion import compile_conversion
    from toolkit.report.edgetpu import describe_compilation

    with output.progress() as show:
        show("compile for the Edge TPU", 0, 0)
        compilation = compile_conversion(conversion)
    if as_json:
        evidence = conversion.model.parent / "conversion.json"
        plain = json.loads(evidence.read_text(encoding="utf-8"))
        output.print_json({**plain, "edgetpu": compilation.plain()})
    else:
        output.print_blocks(describe_conversion(conversion))
        output.print_blocks(describe_budget(conversion))
        output.print_blocks(describe_compilation(compilation))


def _tracked_runs(out: Path) -> list[TrackedRun]:
    from toolkit.report.selection import read_conversions
    from toolkit.track.tracked_run import run_of_conversion

    return [run_of_conversion(conversion) for conversion in read_conversions(out)]


def _report(tracker: str | None, reports: Sequence[Path], out: Path) -> None:
    """Track and report all that lies in a folder now."""
    from toolkit.report.cases import case_of_conversion
    from toolkit.report.page.build import build_page
    from toolkit.report.selection import read_conversions

    send_to_tracker(tracker, lambda: _tracked_runs(out))
    if not reports:
        return
    conversions = read_conversions(out)
    write_reports(
        reports,
        "kedge convert",
        lambda: [case_of_conversion(conversion) for conversion in conversions],
        lambda: build_page(conversions, ()),
    )


def _do(
    request: ConversionRequest,
    names: tuple[str, ...],
    latency_on: str | None,
    accelerator: str | None,
    as_json: bool,
) -> int:
    from targets.place import THIS_COMPUTER, place_of
    from toolkit.project import conversion_cache, find_target

    measures = find_target(latency_on) if latency_on else THIS_COMPUTER
    request = replace(request, cache=conversion_cache(), measured_on=place_of(measures))
    try:
        if len(names) > 1:
            return _compare(request, names, measures, as_json)
        return _convert(request, measures, accelerator, as_json)
    except KeyboardInterrupt:
        output.note("finished steps and epochs are kept: the same command goes on from there")
        raise


def _convert(
    request: ConversionRequest, measures: Target, accelerator: str | None, as_json: bool
) -> int:
    from converters.process import convert, find_conversion

    conversion = find_conversion(request)
    if conversion is not None:
        output.note(
            f"{words.path(request.out)} holds this conversion already, every file with its digest; "
            "nothing is repeated"
        )
    else:
        from targets.place import THIS_COMPUTER
        from toolkit.measure.host_latency import measure_on  # a runtime and NumPy, for 0.2 s
        from toolkit.progress import forward

        _note_replaced(request.out)
        with output.progress() as show:
            conversion = convert(
                request,
                forward(show),
                measure_on(measures, show),
                # This computer is fast at other things than a board.
                latency_decides=measures is not THIS_COMPUTER,
            )
    keep_conversions([conversion])
    budget = conversion.budget
    for warning in (*conversion.warnings, *(budget.reasons if budget else ())):
        output.warn(warning)
    if accelerator is not None:
        _print_compiled(conversion, as_json)
    elif as_json:
        output.say((request.out / "conversion.json").read_text(encoding="utf-8").rstrip())
    else:
        output.print_blocks(describe_conversion(conversion))
        output.print_blocks(describe_budget(conversion))
    return EXIT_REFUSED if budget is not None and not budget.held else 0


def _note_replaced(out: Path) -> None:
    """Say it before the work: what is there is replaced when the new files are whole."""
    from converters.errors import ConversionError
    from converters.evidence.conversion import read_conversion
    from device_agent.contract.codes import IntegrityError

    try:
        earlier = read_conversion(out).recipe_label
    except (ConversionError, IntegrityError):
        return
    output.note(f"{words.path(out)} holds a conversion by {earlier}, which will be replaced")


def _plan(request: ConversionRequest, names: tuple[str, ...], as_json: bool) -> int:
    from converters.process import plan
    from toolkit.progress import forward

    with output.progress() as show:
        plans = plan(replace(request, judge_all=len(names) > 1), names, forward(show))
    plain = [asdict(entry) for entry in plans]
    if as_json:
        output.print_json({"schema": 1, "plans": plain})
    else:
        output.print_blocks(describe_plans(plain))
    return 0


def _compare(
    request: ConversionRequest, names: tuple[str, ...], measures: Target, as_json: bool
) -> int:
    from converters.comparison.compare import compare_recipes
    from converters.comparison.comparison_file import plain_comparison, write_comparison
    from targets.place import THIS_COMPUTER
    from toolkit.measure.host_latency import measure_on
    from toolkit.progress import forward

    try:
        with output.progress() as show:
            comparison = compare_recipes(
                request,
                names,
                forward(show),
                measure_on(measures, show),
                # This computer is fast at other things than a board: only a board decides.
                latency_decides=measures is not THIS_COMPUTER,
            )
    finally:
        keep_conversions(finished_conversions(request.out))
    path = write_comparison(comparison, request.out)
    plain = plain_comparison(comparison)
    for note in (*notes_of_recipes(plain), *comparison.reasons):
        output.warn(note)
    if as_json:
        output.print_json(plain)
    else:
        output.print_blocks(describe_recipe_comparison(plain, path))
    return 0 if comparison.held else EXIT_REFUSED
