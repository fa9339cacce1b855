"""`kedge inspect`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from toolkit.cli import output
from toolkit.cli.completion import complete_boards, complete_targets
from toolkit.cli.options import as_json, file_path
from toolkit.report import words
from toolkit.report.inspection import describe_totals, plain_operator, plain_totals
from toolkit.report.tables import Block

if TYPE_CHECKING:
    from converters.inspection import ModelFigures, QuantizationCoverage
    from converters.model_file import ModelFile
    from converters.tensor_spec import TensorSpec

#: Exit code where a runtime was named that does not load the file, as `push` would exit.
_EXIT_DOES_NOT_LOAD = 4

#: A tensor list longer than this is shortened for a person; `--json` has all.
_SHOWN_TENSORS = 12


@click.command("inspect")
@click.argument("file", type=file_path())
@click.option(
    "--for",
    "name",
    metavar="NAME",
    shell_complete=complete_targets,
    help="Target that is to run it: its runtime is read from the board.",
)
@click.option(
    "--board",
    metavar="KIND",
    shell_complete=complete_boards,
    help="Kind of board that is to run it, such as raspberry-pi-4 or coral-dev-board.",
)
@click.option(
    "--runtime", metavar="NAME==VERSION", help="Runtime to load it, such as tflite-runtime==2.14."
)
@click.option(
    "--against",
    metavar="FLOAT",
    type=file_path(),
    help="Float file of the network: show the error of each layer.",
)
@click.option(
    "--on",
    "board_name",
    metavar="NAME",
    shell_complete=complete_targets,
    help="Target: show which layers it computes otherwise than this host.",
)
@click.option(
    "--data",
    type=file_path(),
    help="Data set for --against and --on; without it the golden.npz beside FILE.",
)
@as_json
def command(
    file: Path,
    name: str | None,
    board: str | None,
    runtime: str | None,
    against: Path | None,
    board_name: str | None,
    data: Path | None,
    as_json: bool,
) -> int:
    """Show what is inside a .tflite or an .onnx, what it costs, and where it runs.

    With --against, only the errors of the layers are shown, the worst first, and what would make
    them better. With --on, only the layers on a board. The exit code is 4 if the runtime of --for,
    --board or --runtime does not load the file, and 8 if the board of --on computes a layer
    wrongly.

    \b
    kedge inspect model.tflite
    kedge inspect model.onnx
    kedge inspect model.tflite --for pi
    kedge inspect model.tflite --board coral-dev-board
    kedge inspect model.tflite --runtime tflite-runtime==2.14
    kedge inspect model.tflite --json | jq .totals
    kedge inspect int8/model.tflite --against float/model.tflite --data data.npz
    kedge inspect model.tflite --on pi
    """
    if sum(each is not None for each in (name, board, runtime)) > 1:
        raise click.UsageError("--for, --board and --runtime exclude each other")
    if against is not None or board_name is not None:
        return _compare_layers(file, against, board_name, data, as_json)
    if data is not None:
        raise click.UsageError("--data goes with --against FLOAT or --on NAME")
    from converters.formats import FORMATS, read_model_file
    from converters.inspection import quantization_coverage

    model = read_model_file(file)
    model_format = FORMATS[model.format]
    figures = model_format.figures(file)
    coverage = quantization_coverage(figures)
    plain = _plain(model, figures, coverage)
    blocks = _head(model, plain)
    blocks += describe_totals(figures, coverage)
    code = 0
    if name or board or runtime:
        from toolkit.inspection import inspect_for

        with output.progress() as show:
            answer = inspect_for(model, figures, name, board, runtime, show)
        plain |= answer.plain
        blocks += answer.blocks
        code = 0 if answer.loads else _EXIT_DOES_NOT_LOAD
    if as_json:
        output.print_json(plain)
        return code
    output.print_blocks(blocks)
    _show(model)
    return code


def _compare_layers(
    file: Path, against: Path | None, board_name: str | None, data: Path | None, as_json: bool
) -> int:
    from converters.formats import read_model_file
    from toolkit.layer_inspection import inspect_layers
    from toolkit.report.exit_code import EXIT_REFUSED

    with output.progress() as show:
        answer = inspect_layers(read_model_file(file), against, board_name, data, show)
    if as_json:
        output.print_json({"schema": 1, "path": str(file), **answer.plain})
    else:
        output.print_blocks(answer.blocks)
    return 0 if answer.is_right else EXIT_REFUSED


def _plain(
    model: ModelFile, figures: ModelFigures, coverage: QuantizationCoverage
) -> dict[str, Any]:
    from converters.formats import FORMATS

    model_format = FORMATS[model.format]
    needed = model_format.minimum_runtime(model)
    return {
        "schema": 1,
        "format": model.format,
        **asdict(model),
        "path": str(model.path),
        "minimum_runtime": {
            "version": ".".join(map(str, needed.version)),
            "because_of": f"{needed.operator} version {needed.operator_version}"
            if needed.operator
            else "",
            "lowest": dict(model_format.lowest_runtimes(model)),
        },
        "foreign_operators": list(model_format.foreign_ops(model)),
        "totals": plain_totals(figures, coverage),
        "ops": [plain_operator(operator) for operator in figures.operators],
    }


def _head(model: ModelFile, plain: dict[str, Any]) -> list[Block]:
    """Return what a file is, and the runtime that it needs."""
    from converters.formats import FORMATS

    title = FORMATS[model.format].title
    blocks: list[Block] = [f"{model.path}: {words.size(model.size_bytes)}, sha256 {model.sha256}"]
    needed = plain["minimum_runtime"]
    if needed["because_of"]:
        blocks.append(
            f"needs {title} {needed['version']} or newer, because of {needed['because_of']}"
        )
    if plain["foreign_operators"]:
        blocks.append(
            f"needs a delegate or a runtime that brings {', '.join(plain['foreign_operators'])}: "
            f"no wheel of {title} contains it"
        )
    if model.edgetpu:
        blocks.append("was compiled for the Edge TPU: what it does there is not in the figures")
    return [*blocks, *_parts(plain)]


def _parts(plain: dict[str, Any]) -> list[str]:
    """Return what a file has besides operators and tensors, and what it lacks."""
    lines = [f"has no {side}: kedge cannot measure it" for side in ("inputs", "outputs")
             if not plain[side]]  # fmt: skip
    if plain.get("subgraphs", 1) > 1:
        lines.append(f"subgraphs: {plain['subgraphs']}; kedge runs the first, and those it runs")
    if plain.get("producer"):
        lines.append(f"written by {plain['producer']}")
    for what in ("signatures", "metadata"):
        if plain.get(what):
            lines.append(f"{what}: {', '.join(words.end_of(name) for name in plain[what])}")
    if plain["reset"] != "keep":
        lines.append(
            "keeps a state from one inference to the next (streaming = true in model.toml keeps it "
            "from sample to sample)"
        )
    return lines


def _show(model: ModelFile) -> None:
    output.table(
        "",
        ["operator", "version", "count"],
        [[entry.name, str(entry.version), str(entry.count)] for entry in model.operators],
    )
    specs = [("in", spec) for spec in model.inputs] + [("out", spec) for spec in model.outputs]
    output.table("", ["input or output", "", "shape", "type", "real value"], map(_spec_row, specs))
    constants = [tensor for tensor in model.tensors if tensor.is_constant][:_SHOWN_TENSORS]
    total = sum(tensor.is_constant for tensor in model.tensors)
    title = f"constants: {total}"
    if len(constants) < total:
        title = f"constants: the first {len(constants)} of {total} (--json shows all)"
    rows = [
        [words.end_of(tensor.name), str(list(tensor.shape)), tensor.dtype, words.size(tensor.bytes)]
        for tensor in constants
    ]
    output.table(title, ["constant", "shape", "type", "size"], rows)


def _spec_row(entry: tuple[str, TensorSpec]) -> list[str]:
    way, spec = entry
    real = "as it is"
    if spec.scale is not None:
        real = f"{spec.scale:.6g} * (q - {spec.zero_point})"
    return [words.end_of(spec.name), way, str(list(spec.shape)), spec.dtype, real]
