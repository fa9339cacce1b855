"""`kedge convert-and-push`."""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli import output
from toolkit.cli.options import as_json, converting, file_path, measuring
from toolkit.cli.results import keep
from toolkit.report.conversion import describe_conversion, plain_judgement
from toolkit.report.exit_code import EXIT_NOT_TRUSTED, exit_code_of_measurement
from toolkit.report.measurement import plain_measurement
from toolkit.report.measurement_text import describe_measurement


@click.command("convert-and-push")
@click.argument("model", type=file_path())
@converting
@click.option("--to", "name", required=True, help="The target.")
@click.option(
    "--out", type=file_path(), default="kedge-out", show_default=True, help="Folder for the files."
)
@measuring
@as_json
def command(
    model: Path,
    data: Path,
    recipe: str,
    seed: int,
    image_range: str,
    name: str,
    out: Path,
    threads: tuple[int, ...] | None,
    duration_s: float,
    wheelhouse: Path | None,
    as_json: bool,
) -> int:
    """Convert a model, send it to a board, check its outputs there and measure it.

    \b
    kedge convert-and-push resnet8.h5 --data cifar10.tar.gz --to pi
    kedge convert-and-push model.h5 --data data.npz --recipe qat_w8a8 --to pi --out out
    """
    from converters.request import ConversionRequest
    from toolkit.deploy import deploy
    from toolkit.measure.bench import BenchSettings
    from toolkit.project import conversion_cache, open_inventory
    from toolkit.report.record import records_of_measurement

    request = ConversionRequest(
        model, data, recipe, out, seed, image_range, cache=conversion_cache()
    )
    settings = BenchSettings(threads, duration_s, wheelhouse)
    inventory = open_inventory()
    target = inventory.get(name)
    with output.progress() as show:
        done = deploy(request, target, settings, show)
    for warning in done.conversion.warnings:
        output.warn(warning)
    if as_json:
        conversion = {
            "model": str(done.conversion.model),
            **plain_judgement(done.conversion),
        }
        targets = [plain_measurement(done.measurement)]
        output.print_json({"schema": 1, "conversion": conversion, "targets": targets})
    else:
        output.print_blocks(describe_conversion(done.conversion))
        output.print_blocks(describe_measurement(done.measurement))
    keep(inventory.path.parent, records_of_measurement(done.measurement))
    if done.measurement.parity.verdict == "INCONCLUSIVE":
        return EXIT_NOT_TRUSTED
    return exit_code_of_measurement(done.measurement)
