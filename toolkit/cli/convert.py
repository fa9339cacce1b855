"""`kedge convert`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from toolkit.cli import output
from toolkit.cli.options import as_json, converting, file_path

if TYPE_CHECKING:
    from converters.conversion import Conversion


@click.command("convert")
@click.argument("model", type=file_path())
@converting
@click.option("--out", required=True, type=file_path(), help="Folder for the results.")
@as_json
def command(
    model: Path, data: Path, recipe: str, seed: int, image_range: str, out: Path, as_json: bool
) -> None:
    """Convert a Keras model to a .tflite, and prove its accuracy on the file that ships.

    MODEL is a .h5 or .keras file or a SavedModel folder. Writes OUT/model.tflite,
    OUT/conversion.json (the evidence) and OUT/golden.npz (inputs to compare a board with).

    \b
    kedge convert resnet8.h5 --data cifar10.tar.gz --out out
    kedge convert model.keras --data data.npz --recipe qat_w8a8 --out out
    """
    from converters.process import convert
    from converters.request import ConversionRequest
    from toolkit.deploy import forward

    request = ConversionRequest(model, data, recipe, out, seed, image_range)
    with output.progress() as show:
        conversion = convert(request, forward(show))
    for warning in conversion.warnings:
        output.warn(warning)
    if as_json:
        output.say((out / "conversion.json").read_text(encoding="utf-8").rstrip())
    else:
        show_conversion(conversion)


def show_conversion(conversion: Conversion) -> None:
    """Print what a conversion made."""
    before, after = conversion.float_accuracy, conversion.accuracy
    output.table(
        f"{conversion.model} by {conversion.recipe}",
        ["", "given", "the file"],
        [
            ["accuracy", output.percent(before.fraction), output.percent(after.fraction)],
            ["held-out samples", str(before.samples), str(after.samples)],
            ["size", output.size(conversion.source_bytes), output.size(conversion.model_bytes)],
        ],
    )
