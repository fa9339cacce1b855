"""`kedge run`."""

from __future__ import annotations

from pathlib import Path

import click

from toolkit.cli import output
from toolkit.cli.options import as_json, file_path, target, wheelhouse
from toolkit.report import words
from toolkit.report.run import describe_run, plain_run


@click.command("run")
@click.argument("file", type=file_path())
@target
@click.option(
    "--input",
    "inputs",
    type=file_path(),
    multiple=True,
    required=True,
    help="Picture, .npy or .npz; may be repeated.",
)
@click.option(
    "--save-outputs", type=file_path(), help="Write the real values of all outputs to this .npz."
)
@wheelhouse
@as_json
def command(
    file: Path,
    name: str | None,
    inputs: tuple[Path, ...],
    save_outputs: Path | None,
    wheelhouse: Path | None,
    as_json: bool,
) -> None:
    """Run a model on a board with pictures or arrays, and time each stage there.

    model.toml beside FILE says how a picture becomes an input and what the outputs mean. `kedge
    convert` writes it, and docs/run.md describes it. This computer only decodes pictures; the board
    resizes, scales, quantizes and does all the rest.

    \b
    kedge run out/model.tflite --on pi --input cat.jpg --input dog.png
    kedge run out/model.tflite --on pi --input x_test.npy --save-outputs y.npz --json
    """
    from toolkit.measure.run import SampleSettings, require_place, run_files
    from toolkit.measure.run import save_outputs as save
    from toolkit.project import find_target

    board = find_target(name)
    if save_outputs is not None:
        require_place(save_outputs, (file, *inputs))
    settings = SampleSettings(save_outputs is not None, wheelhouse)
    with output.progress() as show:
        answers = run_files(file, board, inputs, settings, show)
    if save_outputs is not None:
        save(save_outputs, answers.outputs)
    if as_json:
        output.print_json({"schema": 1, **plain_run(answers)})
        return
    output.print_blocks(describe_run(answers))
    if save_outputs is not None:
        output.say(f"written: {words.path(save_outputs)}")
